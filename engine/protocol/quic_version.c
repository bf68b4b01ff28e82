/* See quic_version.h. A salt serves from the version that it is named after until the next one. */
#include "protocol/quic_version.h"

#include <stddef.h>

enum salt {
    SALT_DRAFT_21,
    SALT_DRAFT_23,
    SALT_DRAFT_29,
    SALT_1,
    SALT_2_DRAFT,
    SALT_2,
    SALT_Q050,
    SALT_T050,
    SALT_T051,
};

static const uint8_t salts[][QUIC_SALT_BYTES] = {
    [SALT_DRAFT_21] = {0x7f, 0xbc, 0xdb, 0x0e, 0x7c, 0x66, 0xbb, 0xe9, 0x19, 0x3a,
                       0x96, 0xcd, 0x21, 0x51, 0x9e, 0xbd, 0x7a, 0x02, 0x64, 0x4a},
    [SALT_DRAFT_23] = {0xc3, 0xee, 0xf7, 0x12, 0xc7, 0x2e, 0xbb, 0x5a, 0x11, 0xa7,
                       0xd2, 0x43, 0x2b, 0xb4, 0x63, 0x65, 0xbe, 0xf9, 0xf5, 0x02},
    [SALT_DRAFT_29] = {0xaf, 0xbf, 0xec, 0x28, 0x99, 0x93, 0xd2, 0x4c, 0x9e, 0x97,
                       0x86, 0xf1, 0x9c, 0x61, 0x11, 0xe0, 0x43, 0x90, 0xa8, 0x99},
    [SALT_1] = {0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17,
                0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a},
    [SALT_2_DRAFT] = {0xa7, 0x07, 0xc2, 0x03, 0xa5, 0x9b, 0x47, 0x18, 0x4a, 0x1d,
                      0x62, 0xca, 0x57, 0x04, 0x06, 0xea, 0x7a, 0xe3, 0xe5, 0xd3},
    [SALT_2] = {0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93,
                0x81, 0xbe, 0x6e, 0x26, 0x9d, 0xcb, 0xf9, 0xbd, 0x2e, 0xd9},
    [SALT_Q050] = {0x50, 0x45, 0x74, 0xef, 0xd0, 0x66, 0xfe, 0x2f, 0x9d, 0x94,
                   0x5c, 0xfc, 0xdb, 0xd3, 0xa7, 0xf0, 0xd3, 0xb5, 0x6b, 0x45},
    [SALT_T050] = {0x7f, 0xf5, 0x79, 0xe5, 0xac, 0xd0, 0x72, 0x91, 0x55, 0x80,
                   0x30, 0x4c, 0x43, 0xa2, 0x36, 0x7c, 0x60, 0x48, 0x83, 0x10},
    [SALT_T051] = {0x7a, 0x4e, 0xde, 0xf4, 0xe7, 0xcc, 0xee, 0x5f, 0xa4, 0x50,
                   0x6c, 0x19, 0x12, 0x4f, 0xc8, 0xcc, 0xda, 0x6e, 0x03, 0x3d},
};

static const struct quic_version versions[] = {
    {0x00000001u, "1", QUIC_IETF, false, salts[SALT_1]},
    {0x6b3343cfu, "2", QUIC_IETF, true, salts[SALT_2]},
    {0x709a50c4u, "2-draft", QUIC_IETF, true, salts[SALT_2_DRAFT]},
    {0xff000022u, "draft-34", QUIC_IETF, false, salts[SALT_1]},
    {0xff000021u, "draft-33", QUIC_IETF, false, salts[SALT_1]},
    {0xff000020u, "draft-32", QUIC_IETF, false, salts[SALT_DRAFT_29]},
    {0xff00001fu, "draft-31", QUIC_IETF, false, salts[SALT_DRAFT_29]},
    {0xff00001eu, "draft-30", QUIC_IETF, false, salts[SALT_DRAFT_29]},
    {0xff00001du, "draft-29", QUIC_IETF, false, salts[SALT_DRAFT_29]},
    {0xff00001cu, "draft-28", QUIC_IETF, false, salts[SALT_DRAFT_23]},
    {0xff00001bu, "draft-27", QUIC_IETF, false, salts[SALT_DRAFT_23]},
    {0xff00001au, "draft-26", QUIC_IETF, false, salts[SALT_DRAFT_23]},
    {0xff000019u, "draft-25", QUIC_IETF, false, salts[SALT_DRAFT_23]},
    {0xff000018u, "draft-24", QUIC_IETF, false, salts[SALT_DRAFT_23]},
    {0xff000017u, "draft-23", QUIC_IETF, false, salts[SALT_DRAFT_23]},
    {0xff000016u, "draft-22", QUIC_IETF, false, salts[SALT_DRAFT_21]},
    {0xff000015u, "draft-21", QUIC_IETF, false, salts[SALT_DRAFT_21]},
    {0xfaceb001u, "mvfst-22", QUIC_IETF, false, salts[SALT_DRAFT_21]},
    {0xfaceb002u, "mvfst-27", QUIC_IETF, false, salts[SALT_DRAFT_23]},
    {0xfaceb00eu, "mvfst-exp", QUIC_IETF, false, salts[SALT_DRAFT_23]},
    {0xfaceb00fu, "mvfst-0f", QUIC_IETF, false, salts[SALT_DRAFT_23]},
    {0xfaceb010u, "mvfst", QUIC_IETF, false, salts[SALT_1]},
    {0xfaceb011u, "mvfst-exp2", QUIC_IETF, false, salts[SALT_1]},
    {0xfaceb013u, "mvfst-exp3", QUIC_IETF, false, salts[SALT_1]},
    {0x54303531u, "T051", QUIC_GOOGLE_TLS, false, salts[SALT_T051]},
    {0x54303530u, "T050", QUIC_GOOGLE_TLS, false, salts[SALT_T050]},
    {0x51303530u, "Q050", QUIC_GOOGLE_SEAL, false, salts[SALT_Q050]},
    {0x51303438u, "Q048", QUIC_GOOGLE_LONG, false, NULL},
    {0x51303437u, "Q047", QUIC_GOOGLE_LONG, false, NULL},
    {0x51303436u, "Q046", QUIC_GOOGLE_LONG, false, NULL},
    {0x51303434u, "Q044", QUIC_GOOGLE_LONG, false, NULL},
    {0x51303433u, "Q043", QUIC_GOOGLE, false, NULL},
    {0x51303432u, "Q042", QUIC_GOOGLE, false, NULL},
    {0x51303431u, "Q041", QUIC_GOOGLE, false, NULL},
    {0x51303430u, "Q040", QUIC_GOOGLE, false, NULL},
    {0x51303339u, "Q039", QUIC_GOOGLE, false, NULL},
    {0x51303338u, "Q038", QUIC_GOOGLE, false, NULL},
    {0x51303337u, "Q037", QUIC_GOOGLE, false, NULL},
    {0x51303336u, "Q036", QUIC_GOOGLE, false, NULL},
    {0x51303335u, "Q035", QUIC_GOOGLE, false, NULL},
    {0x51303334u, "Q034", QUIC_GOOGLE, false, NULL},
    {0x51303333u, "Q033", QUIC_GOOGLE, false, NULL},
    {0x51303332u, "Q032", QUIC_GOOGLE, false, NULL},
    {0x51303331u, "Q031", QUIC_GOOGLE, false, NULL},
    {0x51303330u, "Q030", QUIC_GOOGLE, false, NULL},
    {0x51303239u, "Q029", QUIC_GOOGLE, false, NULL},
    {0x51303238u, "Q028", QUIC_GOOGLE, false, NULL},
    {0x51303237u, "Q027", QUIC_GOOGLE, false, NULL},
    {0x51303236u, "Q026", QUIC_GOOGLE, false, NULL},
    {0x51303235u, "Q025", QUIC_GOOGLE, false, NULL},
    {0x51303234u, "Q024", QUIC_GOOGLE, false, NULL},
};

/* To make a server negotiate, a client seals its packet as the version that it would rather speak. */
static const struct quic_version reserved = {0, "reserved", QUIC_IETF, false, salts[SALT_1]};

const struct quic_version *quic_version_find(uint32_t number) {
    if (quic_version_reserved(number)) return &reserved;
    for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++)
        if (versions[i].number == number) return &versions[i];
    return NULL;
}
