/* SPDX-License-Identifier: Apache-2.0 */
/* fields.h: reads members of JSON objects that may lack them */
#ifndef CTL_FIELDS_H
#define CTL_FIELDS_H

#include <jansson.h>

/* Returns 0 where there is no such number. */
static inline json_int_t ctl_int(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

/* Returns "" where there is no such text. */
static inline const char *ctl_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

static inline int ctl_is_true(const json_t *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}

/* Returns what jansson takes for an empty list where there is none. */
static inline const json_t *ctl_list(const json_t *object, const char *key)
{
    return json_object_get(object, key);
}

#endif
