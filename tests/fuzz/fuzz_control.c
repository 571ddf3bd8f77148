/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes, in pieces and with descriptors beside them, on a control channel;
 * a message, or the "spec" in it, as a spec, which must come back the same.
 * With -DFUZZ_REPLAY: see replay.h.
 */

#include <apr_general.h>

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "weave_control.h"
#include "weave_spec.h"

static apr_pool_t *root;

static void check_spec(const json_t *object)
{
    char *text = json_dumps(object, JSON_COMPACT);
    weave_spec_t *spec = NULL, *again = NULL;
    const char *one, *two;
    apr_pool_t *pool;

    apr_pool_create(&pool, root);
    if (weave_spec_parse(&spec, text, pool) == NULL) {
        assert(spec->conf);
        one = weave_spec_format(spec, pool);
        assert(one && !weave_spec_parse(&again, one, pool));
        two = weave_spec_format(again, pool);
        assert(two && !strcmp(one, two));
    }
    else {
        assert(!spec);
    }
    apr_pool_destroy(pool);
    free(text);
}

/* Takes what is there; 0: the channel is done. */
static int take(weave_control_t *control)
{
    for (;;) {
        json_t *message = NULL;
        int pass = -1;
        apr_status_t rv = weave_control_receive(control, &message, &pass, 0);

        if (rv != APR_SUCCESS) {
            assert(!message && pass < 0);
            if (rv == APR_EINVAL)
                continue; /* as nobody does: one line less */
            return APR_STATUS_IS_EAGAIN(rv);
        }
        assert(json_is_object(message));
        check_spec(message);
        check_spec(json_object_get(message, "spec"));
        if (pass >= 0)
            close(pass);
        json_decref(message);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t data_bytes);

int LLVMFuzzerInitialize(int *argc, char ***argv);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    apr_initialize();
    apr_pool_create(&root, NULL);
    return 0;
}

/* The first two bytes say how the rest is cut, and what brings a descriptor. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t data_bytes)
{
    weave_control_t control = {0};
    size_t at = 2;
    uint32_t random;
    int ends[2];

    if (data_bytes < 2)
        return 0;
    assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    control.fd = ends[0];
    random = (uint32_t)(data[0] | data[1] << 8);
    while (at < data_bytes) {
        size_t step;
        long sent;

        random = random * 1103515245 + 12345;
        step = (random >> 16) % 199 + 1;
        if (step > data_bytes - at)
            step = data_bytes - at;
        sent = weave_fd_send(ends[1], data + at, step,
                             random & 0x40000000 ? ends[1] : -1, MSG_DONTWAIT);
        assert(sent > 0);
        at += (size_t)sent;
        if ((random & 0x18000000) && !take(&control))
            break;
    }
    close(ends[1]);
    take(&control);
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
