/* See quic_stream.h. Bytes that come again overwrite those that are there: peers that mean well send the
 * same. */
#include "protocol/quic_stream.h"

#include <stdlib.h>

static bool make_room(struct quic_stream *stream, uint32_t need) {
    if (need <= stream->room) return true;
    uint32_t room = stream->room ? stream->room : 2048;
    while (room < need) room *= 2;
    uint8_t *bigger = realloc(stream->bytes, room);
    if (!bigger) return false;
    stream->bytes = bigger;
    stream->room = room;
    return true;
}

/* Joins from..to with the pieces that it meets. */
static bool note_piece(struct quic_stream *stream, uint32_t from, uint32_t to) {
    struct quic_piece *pieces = stream->pieces;
    uint32_t first = 0, last;
    while (first < stream->count && pieces[first].to < from) first++;
    for (last = first; last < stream->count && pieces[last].from <= to; last++) {
        if (pieces[last].from < from) from = pieces[last].from;
        if (pieces[last].to > to) to = pieces[last].to;
    }
    uint32_t met = last - first;
    if (met == 0 && stream->count == QUIC_STREAM_PIECES) return false;
    memmove(&pieces[first + 1], &pieces[last], (stream->count - last) * sizeof *pieces);
    stream->count = stream->count - met + 1;
    pieces[first] = (struct quic_piece){from, to};
    return true;
}

bool quic_stream_add(struct quic_stream *stream, uint64_t offset, struct slice data) {
    if (data.length == 0) return true;
    if (offset > QUIC_STREAM_MOST || data.length > QUIC_STREAM_MOST - offset) return false;
    uint32_t from = (uint32_t)offset, to = from + data.length;
    if (!make_room(stream, to) || !note_piece(stream, from, to)) return false;
    memcpy(stream->bytes + from, data.at, data.length);
    return true;
}

struct slice quic_stream_ready(const struct quic_stream *stream) {
    bool begun = stream->count > 0 && stream->pieces[0].from == 0;
    return (struct slice){stream->bytes, begun ? stream->pieces[0].to : 0};
}

void quic_stream_clear(struct quic_stream *stream) {
    free(stream->bytes);
    *stream = (struct quic_stream){0};
}
