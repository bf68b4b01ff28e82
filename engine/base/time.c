/* Calendar time for records, without libc's locks and time zones: days are counted from 1970 with the
 * civil-from-days method (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms"). */
#include "base/time.h"

static void put_digits(char *out, int width, uint32_t value) {
    while (width-- > 0) {
        out[width] = (char)('0' + value % 10);
        value /= 10;
    }
}

int time_format_eve(nanoseconds t, char out[TIMESTAMP_LENGTH + 1]) {
    int64_t seconds = t / NS_PER_SECOND;
    int64_t rest = t % NS_PER_SECOND;
    if (rest < 0) {
        rest += NS_PER_SECOND;
        seconds--;
    }
    int64_t days = seconds / 86400;
    int64_t in_day = seconds % 86400;
    if (in_day < 0) {
        in_day += 86400;
        days--;
    }
    int64_t z = days + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    uint32_t doe = (uint32_t)(z - era * 146097);
    uint32_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    uint32_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    uint32_t mp = (5 * doy + 2) / 153;
    uint32_t day = doy - (153 * mp + 2) / 5 + 1;
    uint32_t month = mp < 10 ? mp + 3 : mp - 9;
    uint32_t year = (uint32_t)((int64_t)yoe + era * 400 + (month <= 2));

    put_digits(out, 4, year);
    out[4] = '-';
    put_digits(out + 5, 2, month);
    out[7] = '-';
    put_digits(out + 8, 2, day);
    out[10] = 'T';
    put_digits(out + 11, 2, (uint32_t)(in_day / 3600));
    out[13] = ':';
    put_digits(out + 14, 2, (uint32_t)(in_day / 60 % 60));
    out[16] = ':';
    put_digits(out + 17, 2, (uint32_t)(in_day % 60));
    out[19] = '.';
    put_digits(out + 20, 6, (uint32_t)(rest / 1000));
    for (int i = 0; i < 6; i++) out[26 + i] = "+0000"[i];
    return TIMESTAMP_LENGTH;
}
