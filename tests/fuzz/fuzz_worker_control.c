/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes, in pieces and with descriptors beside them, on the control channel
 * of a worker, as weaved reads them: nothing of it is longer, more, or takes
 * more memory than weave_report.h says. With -DFUZZ_REPLAY: see replay.h.
 */

#include <apr_general.h>

#include <assert.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "weave_control.h"
#include "weave_report.h"
#include "weave_utf8.h"

static void check_report(const json_t *message)
{
    weave_report_t report, again;
    json_t *made;

    if (weave_report_read(&report, message) < 0)
        return;
    assert(report.kind < WEAVE_REPORT_KINDS);
    assert(strlen(report.text) < WEAVE_REPORT_TEXT_BYTES);
    assert(weave_utf8_is_text(report.text, report.text + strlen(report.text)));
    made = weave_report_make(report.kind, report.text);
    assert(made && weave_report_read(&again, made) == 0);
    assert(again.kind == report.kind && !strcmp(again.text, report.text));
    json_decref(made);
}

/* Takes what is there; 0: the channel is done. */
static int take(weave_control_t *control, int *taken)
{
    for (;;) {
        json_t *message = NULL;
        int pass = -1;
        apr_status_t rv = weave_control_receive(control, &message, &pass, 0);

        assert(control->room <= WEAVE_REPORT_LINE_MAX);
        if (rv != APR_SUCCESS) {
            assert(!message && pass < 0);
            return APR_STATUS_IS_EAGAIN(rv);
        }
        check_report(message);
        json_decref(message);
        if (pass >= 0)
            close(pass);
        if (++*taken > WEAVE_REPORTS_MAX)
            return 0;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t data_bytes);

int LLVMFuzzerInitialize(int *argc, char ***argv);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    apr_initialize();
    return 0;
}

/* The first two bytes say how the rest is cut, and what brings a descriptor. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t data_bytes)
{
    weave_control_t control = {.line_max = WEAVE_REPORT_LINE_MAX};
    size_t at = 2;
    uint32_t random;
    int ends[2], taken = 0, open = 1;

    if (data_bytes < 2)
        return 0;
    assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    control.fd = ends[0];
    random = (uint32_t)(data[0] | data[1] << 8);
    control.passes = random & 1 ? WEAVE_PASS_PLAIN : WEAVE_PASS_NONE;
    while (open && at < data_bytes) {
        size_t step;
        long sent;

        random = random * 1103515245 + 12345;
        step = (random >> 16) % 1999 + 1;
        if (step > data_bytes - at)
            step = data_bytes - at;
        sent = weave_fd_send(ends[1], data + at, step,
                             random & 0x40000000 ? ends[1] : -1, MSG_DONTWAIT);
        assert(sent > 0);
        at += (size_t)sent;
        open = take(&control, &taken);
    }
    close(ends[1]);
    if (open)
        take(&control, &taken);
    weave_control_close(&control);
    /* whatever came, no descriptor has stayed */
    ends[1] = dup(0);
    assert(ends[1] <= ends[0]);
    close(ends[1]);
    return 0;
}

#ifdef FUZZ_REPLAY
#include "replay.h"
#endif
