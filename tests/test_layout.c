/* SPDX-License-Identifier: Apache-2.0 */
/* test_layout.c: what processes share keeps its layout, or gets another version
 *
 * Each list below has the size of a piece of shared memory or of the wire, and
 * place and size of all its members. */

#include "conf_support.h"

#include <jansson.h>

#include "layout_support.h"
#include "weave_board.h"
#include "weave_control.h"
#include "weave_counters.h"
#include "weave_frame.h"
#include "weave_report.h"

#define AT(type, member) offsetof(type, member), sizeof(((type *)0)->member)

static const size_t roster[] = {
    sizeof(weave_roster_t),
    AT(weave_roster_t, magic),
    AT(weave_roster_t, version),
    AT(weave_roster_t, bytes),
    AT(weave_roster_t, generations),
    AT(weave_roster_t, reserved),
    AT(weave_roster_t, apps),
    AT(weave_roster_t, workers),
    AT(weave_roster_app_t, event),
    AT(weave_roster_app_t, state),
    AT(weave_roster_app_t, generation),
    AT(weave_roster_app_t, identity),
    AT(weave_roster_app_t, reserved),
    WEAVE_APP_FAILED,
    AT(weave_roster_worker_t, serial),
    AT(weave_roster_worker_t, state),
    AT(weave_roster_worker_t, app),
    AT(weave_roster_worker_t, generation),
    AT(weave_roster_worker_t, pid),
    AT(weave_roster_worker_t, birth),
    AT(weave_roster_worker_t, socket),
    WEAVE_WORKER_DRAINING,
};

static const size_t board[] = {
    sizeof(weave_board_t),
    AT(weave_board_t, magic),
    AT(weave_board_t, version),
    AT(weave_board_t, bytes),
    AT(weave_board_t, threads),
    AT(weave_board_t, running),
    AT(weave_board_t, queued),
    AT(weave_board_t, connections),
    AT(weave_board_t, reserved),
    AT(weave_board_t, requests),
    AT(weave_board_t, refused),
    AT(weave_board_t, timeouts),
    AT(weave_board_t, busy_us),
    AT(weave_board_t, reserved2),
    AT(weave_board_t, started),
    AT(weave_board_t, thread),
    AT(weave_board_thread_t, since_us),
    AT(weave_board_thread_t, slot),
    AT(weave_board_thread_t, number),
};

static const size_t frames[] = {
    sizeof(weave_frame_t),
    AT(weave_frame_t, magic),
    AT(weave_frame_t, version),
    AT(weave_frame_t, type),
    AT(weave_frame_t, flags),
    AT(weave_frame_t, bytes),
    AT(weave_frame_t, number),
    sizeof(weave_hello_t),
    AT(weave_hello_t, pid),
    AT(weave_hello_t, role),
    AT(weave_hello_t, secret),
    sizeof(weave_welcome_t),
    AT(weave_welcome_t, pid),
    AT(weave_welcome_t, generation),
    AT(weave_welcome_t, slot),
    AT(weave_welcome_t, reserved),
    sizeof(weave_frame_request_t),
    AT(weave_frame_request_t, content_length),
    AT(weave_frame_request_t, file_bytes),
    AT(weave_frame_request_t, vars),
    AT(weave_frame_request_t, inline_bytes),
    sizeof(weave_frame_var_t),
    AT(weave_frame_var_t, key),
    AT(weave_frame_var_t, name_bytes),
    AT(weave_frame_var_t, value_bytes),
    sizeof(weave_frame_read_t),
    AT(weave_frame_read_t, bytes),
    sizeof(weave_frame_body_t),
    AT(weave_frame_body_t, error),
    sizeof(weave_frame_head_t),
    AT(weave_frame_head_t, content_length),
    AT(weave_frame_head_t, status),
    AT(weave_frame_head_t, headers),
    AT(weave_frame_head_t, strings),
    sizeof(weave_frame_file_t),
    AT(weave_frame_file_t, offset),
    AT(weave_frame_file_t, length),
    sizeof(weave_frame_end_t),
    AT(weave_frame_end_t, outcome),
    sizeof(weave_frame_log_t),
    AT(weave_frame_log_t, level),
    WEAVE_FRAME_HELLO,
    WEAVE_FRAME_REQUEST,
    WEAVE_FRAME_HEAD,
    WEAVE_FRAME_LOG,
    WEAVE_FRAME_TYPES,
    WEAVE_FRAME_LAST | WEAVE_FRAME_FLUSH << 8 | WEAVE_FRAME_FD << 16,
    WEAVE_FRAME_HEAD_ONLY | WEAVE_FRAME_BODY_HERE << 8 |
        WEAVE_FRAME_SUSPECT << 16,
    WEAVE_ROLE_CLIENT,
    WEAVE_ROLE_SUPERVISOR,
};

static const size_t counters[] = {
    sizeof(weave_counters_t),
    AT(weave_counters_t, magic),
    AT(weave_counters_t, version),
    AT(weave_counters_t, bytes),
    AT(weave_counters_t, parent),
    AT(weave_counters_t, without_slot),
    AT(weave_counters_t, maintenance_seen),
    AT(weave_counters_t, problem_logged),
    AT(weave_counters_t, logged_since),
    AT(weave_counters_t, rows),
    AT(weave_counters_t, children),
    AT(weave_counters_t, failure),
    AT(weave_counters_row_t, refused),
    AT(weave_counters_row_t, backoff),
    AT(weave_counters_row_t, backoff_load),
    AT(weave_counters_row_t, load_us),
    AT(weave_counters_child_t, pid),
    AT(weave_counters_child_t, failed),
    AT(weave_counters_child_t, admitted),
    AT(weave_counters_child_t, spooled),
};

/* The descriptors that weaved and a worker are started with. */
static const size_t control[] = {
    WEAVE_SUPER_LIFELINE_FD, WEAVE_SUPER_ROSTER_FD,    WEAVE_SUPER_READY_FD,
    WEAVE_SUPER_CONTROL_FD,  WEAVE_SUPER_FDS,          WEAVE_WORKER_LISTEN_FD,
    WEAVE_WORKER_CONTROL_FD, WEAVE_WORKER_LIFELINE_FD, WEAVE_WORKER_BOARD_FD,
    WEAVE_WORKER_LOG_FD,     WEAVE_WORKER_SAY_FD,      WEAVE_WORKER_FDS,
};

#define ROW(list, name) #list " (" #name ")", name, list, sizeof(list)

static const struct {
    const char *name;
    int version;
    const size_t *list;
    size_t bytes;
    int remembered_version;
    uint64_t remembered;
} layouts[] = {
    {ROW(roster, WEAVE_ROSTER_VERSION), 5, 0x9b373ffeb8aa2319},
    {ROW(board, WEAVE_BOARD_VERSION), 5, 0x7a8063432499e909},
    {ROW(counters, WEAVE_COUNTERS_VERSION), 2, 0x3e6a7a0f5e27f835},
    {ROW(frames, WEAVE_FRAME_VERSION), 5, 0xc9dd278113455862},
    {ROW(control, WEAVE_CONTROL_VERSION), 6, 0xe43a09fdb991e624},
};

static void shared_memory_and_wire(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(layouts) / sizeof(*layouts); i++)
        layout_check(layouts[i].name, layouts[i].version,
                     layout_hash(0, layouts[i].list, layouts[i].bytes),
                     layouts[i].remembered_version, layouts[i].remembered);
}

static void worker_report(void **state)
{
    uint64_t hash = 0;
    int kind;

    (void)state;
    for (kind = 0; kind < WEAVE_REPORT_KINDS; kind++) {
        json_t *message = weave_report_make((weave_report_e)kind, "text");
        const char *name;
        json_t *value;

        json_object_foreach(message, name, value)
        {
            json_type type = json_typeof(value);

            hash = layout_hash(hash, name, strlen(name));
            hash = layout_hash(hash, &type, sizeof(type));
        }
        json_decref(message);
    }
    layout_check("a report (WEAVE_REPORT_VERSION)", WEAVE_REPORT_VERSION, hash,
                 1, 0x1e081f5ec10898bd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        each(shared_memory_and_wire),
        each(worker_report),
    };

    return run_each(tests);
}
