/* SPDX-License-Identifier: Apache-2.0 */
/* memory.c: what a worker keeps of memory that was freed, and of memory that
 * only its start needs */
#include "process.h"

#include <link.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* A block that comes from the system each time has new pages each time: for an
 * answer of 1 MiB they cost as much as everything else. But tables that Python
 * makes when it starts, of 256 KiB and mostly empty, need new pages: in a heap
 * calloc() would clear used ones. */
#define START_BLOCK (128 << 10) /* what glibc begins with */
#define LARGE_BLOCK (2 << 20)   /* larger than an ordinary answer */
#define KEPT_AT_MOST (4 << 20)  /* free, at the end of a heap */
#define HEAPS 4

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

/* Drops the constants of the library that has the address *DATA. Code stays:
 * debuggers and tracers may have written to its pages. */
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

#ifdef __GLIBC__
/* Returns 1 where the environment says it, by one of these names. */
static int is_said(const char *variable, const char *tunable)
{
    const char *tunables = getenv("GLIBC_TUNABLES");

    return getenv(variable) || (tunables && strstr(tunables, tunable));
}

static void blocks_bound(int bytes)
{
    if (!is_said("MALLOC_MMAP_THRESHOLD_", "glibc.malloc.mmap_threshold"))
        mallopt(M_MMAP_THRESHOLD, bytes);
}
#endif

void memory_bound(void)
{
#ifdef __GLIBC__
    blocks_bound(START_BLOCK);
    if (!is_said("MALLOC_TRIM_THRESHOLD_", "glibc.malloc.trim_threshold"))
        mallopt(M_TRIM_THRESHOLD, KEPT_AT_MOST);
    if (!is_said("MALLOC_ARENA_MAX", "glibc.malloc.arena_max"))
        mallopt(M_ARENA_MAX, HEAPS);
#endif
}

void memory_settle(void)
{
    uintptr_t python = (uintptr_t)worker.engine->runtime_version;

#ifdef __GLIBC__
    blocks_bound(LARGE_BLOCK);
    malloc_trim(0);
#endif
    dl_iterate_phdr(constants_drop, &python);
}
