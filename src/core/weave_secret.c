/* SPDX-License-Identifier: Apache-2.0 */
/* weave_secret.c: the secret that httpd, weaved and one application share */
#include "weave_secret.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

apr_status_t weave_secret_make(weave_secret_t *secret)
{
    weave_secret_t made;
    ssize_t got;

    do {
        got = getrandom(made.bytes, sizeof(made.bytes), 0);
    } while (got < 0 && errno == EINTR);
    if (got != (ssize_t)sizeof(made.bytes))
        return got < 0 ? errno : APR_EGENERAL;
    *secret = made;
    return APR_SUCCESS;
}

void weave_secret_format(char text[WEAVE_SECRET_TEXT],
                         const weave_secret_t *secret)
{
    static const char digits[] = "0123456789abcdef";
    size_t i;

    for (i = 0; i < sizeof(secret->bytes); i++) {
        *text++ = digits[secret->bytes[i] >> 4];
        *text++ = digits[secret->bytes[i] & 15];
    }
    *text = '\0';
}

static int digit_value(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

int weave_secret_parse(weave_secret_t *secret, const char *text)
{
    weave_secret_t read;
    size_t i;

    if (!text || strlen(text) != WEAVE_SECRET_TEXT - 1)
        return -1;
    for (i = 0; i < sizeof(read.bytes); i++) {
        int high = digit_value(text[2 * i]), low = digit_value(text[2 * i + 1]);

        if (high < 0 || low < 0)
            return -1;
        read.bytes[i] = (unsigned char)(high << 4 | low);
    }
    *secret = read;
    return 0;
}

int weave_secret_is_same(const weave_secret_t *one, const weave_secret_t *other)
{
    volatile unsigned char differs = 0;
    size_t i;

    for (i = 0; i < sizeof(one->bytes); i++)
        differs |= one->bytes[i] ^ other->bytes[i];
    return !differs;
}
