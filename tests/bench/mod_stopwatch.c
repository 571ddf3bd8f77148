/* SPDX-License-Identifier: Apache-2.0 */
/* The stopwatch: what mod_weave asks of every request, in nanoseconds.
 *
 * Reads the clock right before and right after mod_weave's hook of the
 * header_parser phase (the first of the two times it asks whether there is
 * maintenance) in each request, as the caches are there and then, and counts
 * how often it took how long. Two readings with nothing in between say what
 * the clock itself costs.
 *
 * A request with the query `stopwatch` is answered with what the child that
 * has it knows, in one line of JSON, and all of it is forgotten. */
#include "httpd.h"
#include "http_config.h"
#include "http_protocol.h"
#include "http_request.h"
#include "apr_strings.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NS_MAX 10000 /* longer: something else ran in between */
#define BATCHES 101
#define CALLS 2000 /* of a batch */

/* How often it took so many nanoseconds. */
typedef struct {
    atomic_uint counts[NS_MAX + 1];
} histogram_t;

static histogram_t empty, asked;
static __thread apr_int64_t begun; /* of the request of this thread */
static __thread int looping;

static apr_int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (apr_int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void histogram_add(histogram_t *histogram, apr_int64_t ns)
{
    atomic_fetch_add_explicit(&histogram->counts[ns < NS_MAX ? ns : NS_MAX], 1,
                              memory_order_relaxed);
}

static unsigned histogram_total(histogram_t *histogram)
{
    unsigned total = 0;
    int ns;

    for (ns = 0; ns <= NS_MAX; ns++)
        total += histogram->counts[ns];
    return total;
}

static int histogram_percentile(histogram_t *histogram, unsigned percent)
{
    unsigned long want = (unsigned long)histogram_total(histogram) * percent;
    unsigned long seen = 0;
    int ns;

    for (ns = 0; ns < NS_MAX; ns++) {
        seen += histogram->counts[ns];
        if (seen * 100 > want)
            break;
    }
    return ns;
}

static int stopwatch_before(request_rec *r)
{
    apr_int64_t first;

    (void)r;
    if (looping)
        return DECLINED;
    first = now_ns();
    begun = now_ns();
    histogram_add(&empty, begun - first);
    begun = now_ns();
    return DECLINED;
}

static int stopwatch_after(request_rec *r)
{
    (void)r;
    if (looping)
        return DECLINED;
    histogram_add(&asked, now_ns() - begun);
    return DECLINED;
}

/* ---- the report ---- */

static int compare(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

/* The phase again and again on this request, with everything in the caches:
 * the median of what a call takes. */
static double loop_ns(request_rec *r)
{
    double batches[BATCHES];
    int i, j;

    looping = 1;
    for (i = 0; i < BATCHES; i++) {
        apr_int64_t first = now_ns();

        for (j = 0; j < CALLS; j++)
            ap_run_header_parser(r);
        batches[i] = (double)(now_ns() - first) / CALLS;
    }
    looping = 0;
    qsort(batches, BATCHES, sizeof(*batches), compare);
    return batches[BATCHES / 2];
}

static char *report(request_rec *r)
{
    char *text = apr_psprintf(
        r->pool,
        "{\"pid\": %ld, \"requests\": %u, \"clock_p50\": %d, "
        "\"p50\": %d, \"p90\": %d, \"loop\": %.1f}\n",
        (long)getpid(), histogram_total(&asked),
        histogram_percentile(&empty, 50), histogram_percentile(&asked, 50),
        histogram_percentile(&asked, 90), loop_ns(r));

    memset(&empty, 0, sizeof(empty));
    memset(&asked, 0, sizeof(asked));
    return text;
}

static int stopwatch_handler(request_rec *r)
{
    const char *text;

    if (!r->args || strcmp(r->args, "stopwatch") != 0)
        return DECLINED;
    text = report(r);
    ap_set_content_type(r, "application/json");
    ap_set_content_length(r, (apr_off_t)strlen(text));
    ap_rputs(text, r);
    return OK;
}

static void stopwatch_register_hooks(apr_pool_t *pool)
{
    static const char *const weave[] = {"mod_weave.c", NULL};

    (void)pool;
    ap_hook_header_parser(stopwatch_before, NULL, weave, APR_HOOK_MIDDLE);
    ap_hook_header_parser(stopwatch_after, weave, NULL, APR_HOOK_MIDDLE);
    ap_hook_handler(stopwatch_handler, NULL, NULL, APR_HOOK_FIRST);
}

AP_DECLARE_MODULE(stopwatch) = {
    STANDARD20_MODULE_STUFF,  NULL, NULL, NULL, NULL, NULL,
    stopwatch_register_hooks,
#if defined(AP_MODULE_FLAG_NONE)
    AP_MODULE_FLAG_NONE,
#endif
};
