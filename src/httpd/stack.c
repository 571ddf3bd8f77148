/* SPDX-License-Identifier: Apache-2.0 */
/* stack.c: whether the stacks of embedded mode are large enough for Python */
#include "mod_weave.h"

#include <ap_mpm.h>
#include <mpm_common.h>

#include "weave_stack.h"

/* The MPM's threads have the size that ThreadStackSize says; those of its
 * absence, and Python's, have the process's default, which child_init raises.
 * Prefork runs requests on its main thread. */
void mod_weave_stack_check(const server_rec *s)
{
    int threaded = AP_MPMQ_NOT_SUPPORTED;
    apr_size_t bytes;

    ap_mpm_query(AP_MPMQ_IS_THREADED, &threaded);
    if (threaded == AP_MPMQ_NOT_SUPPORTED)
        bytes = weave_stack_main();
    else
        bytes = ap_thread_stacksize ? ap_thread_stacksize : WEAVE_STACK_BYTES;
    if (bytes < WEAVE_STACK_BYTES)
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     "WEAVE0212: Python runs on stacks of %" APR_SIZE_T_FMT
                     " KiB, as %s says: a deep recursion of the application"
                     " ends an httpd child, and the requests in it, instead of"
                     " being a RecursionError",
                     bytes >> 10,
                     threaded == AP_MPMQ_NOT_SUPPORTED ? "the hard limit"
                                                       : "ThreadStackSize");
}
