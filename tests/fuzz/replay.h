/* SPDX-License-Identifier: Apache-2.0 */
#ifndef REPLAY_H
#define REPLAY_H

/**
 * main() for a fuzzer without libFuzzer: every argument is a file or a folder
 * of files, each is one input. TAP, for prove: one test for each argument.
 */

#include <apr_file_info.h>
#include <apr_file_io.h>
#include <apr_general.h>
#include <apr_strings.h>

#include <stdio.h>

static int replay_file(const char *path, apr_pool_t *pool)
{
    apr_file_t *file;
    apr_finfo_t finfo;
    apr_size_t bytes = 0;
    char *data;

    if (apr_file_open(&file, path, APR_FOPEN_READ | APR_FOPEN_BINARY, 0,
                      pool) ||
        apr_file_info_get(&finfo, APR_FINFO_SIZE, file)) {
        return 0;
    }
    data = apr_palloc(pool, finfo.size + 1);
    apr_file_read_full(file, data, finfo.size, &bytes);
    apr_file_close(file);
    LLVMFuzzerTestOneInput((const uint8_t *)data, bytes);
    return 1;
}

static int replay_folder(const char *path, apr_pool_t *pool)
{
    apr_dir_t *dir;
    apr_finfo_t finfo;
    int count = 0;

    if (apr_dir_open(&dir, path, pool)) {
        return replay_file(path, pool);
    }
    while (!apr_dir_read(&finfo, APR_FINFO_NAME | APR_FINFO_TYPE, dir)) {
        if (finfo.filetype == APR_REG) {
            count += replay_file(apr_pstrcat(pool, path, "/", finfo.name, NULL),
                                 pool);
        }
    }
    apr_dir_close(dir);
    return count;
}

int main(int argc, char *argv[])
{
    apr_pool_t *pool;
    int i, empty = 0;

    LLVMFuzzerInitialize(&argc, &argv);
    apr_pool_create(&pool, NULL);
    printf("1..%d\n", argc - 1);
    for (i = 1; i < argc; i++) {
        int count = replay_folder(argv[i], pool);

        empty += !count;
        printf("%sok %d - %s, inputs: %d\n", count ? "" : "not ", i, argv[i],
               count);
        fflush(stdout);
    }
    apr_terminate();
    return empty != 0;
}

#endif
