/* SPDX-License-Identifier: Apache-2.0 */
/* memory.c: gives back the memory that only the start of a worker needs */
#include "process.h"

#include <link.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <sys/mman.h>
#include <unistd.h>

typedef ElfW(Phdr) segment_t;
typedef ElfW(Dyn) dynamic_t;

static int is_within(const struct dl_phdr_info *object, const segment_t *part,
                     uintptr_t address)
{
    uintptr_t start = object->dlpi_addr + part->p_vaddr;

    return part->p_type == PT_LOAD && address >= start &&
           address - start < part->p_memsz;
}

/* Returns 1 when the linker writes to segments that are read-only later. */
static int has_text_relocations(const struct dl_phdr_info *object)
{
    const dynamic_t *entry = NULL;
    int i;

    for (i = 0; i < object->dlpi_phnum; i++)
        if (object->dlpi_phdr[i].p_type == PT_DYNAMIC)
            entry = (const void *)(object->dlpi_addr +
                                   object->dlpi_phdr[i].p_vaddr);
    for (; entry && entry->d_tag != DT_NULL; entry++)
        if (entry->d_tag == DT_TEXTREL ||
            (entry->d_tag == DT_FLAGS && (entry->d_un.d_val & DF_TEXTREL)))
            return 1;
    return 0;
}

/* Whole pages only: the first and the last may be those of another segment. */
static void pages_drop(uintptr_t start, size_t bytes)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t from = (start + page - 1) & ~(page - 1);
    uintptr_t to = (start + bytes) & ~(page - 1);

    if (from < to)
        madvise((void *)from, to - from, MADV_DONTNEED);
}

/* Drops the constants of the object that DATA is the address of a function of.
 * Code stays: debuggers and tracers may have written to its pages. */
static int constants_drop(struct dl_phdr_info *object, size_t size, void *data)
{
    const segment_t *part = object->dlpi_phdr;
    const segment_t *end = part + object->dlpi_phnum;

    (void)size;
    while (part < end && !is_within(object, part, *(uintptr_t *)data))
        part++;
    if (part == end)
        return 0;
    if (has_text_relocations(object))
        return 1;
    for (part = object->dlpi_phdr; part < end; part++)
        if (part->p_type == PT_LOAD && !(part->p_flags & (PF_W | PF_X)))
            pages_drop(object->dlpi_addr + part->p_vaddr, part->p_memsz);
    return 1;
}

void memory_return(void)
{
    uintptr_t python = (uintptr_t)worker.engine->runtime_version;

#ifdef __GLIBC__
    malloc_trim(0);
#endif
    dl_iterate_phdr(constants_drop, &python);
}
