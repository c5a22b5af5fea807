/* A join run of any bytes: model_run_validate and model_run_header_read return; a lookup in a
 * file of these bytes returns, and so does reading its filter; the name of a file is read
 * strictly. Of what is valid the first row is found, and its filter says so. */
#include "base/file.h"
#include "base/simos.h"
#include "model/join_int.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void load_filter(const struct os *os, struct str bytes, bool valid, struct hash128 id)
{
    struct mem mem;
    struct err e = {0};
    mem_init(&mem, 0);
    struct model_filters f = {.mem = &mem, .bytes_max = 1 << 20};
    struct model_run run = {0};
    char path[PATH_BYTES_MAX];
    char name[MODEL_RUN_FILE_BYTES];
    if (bytes.n >= 24) {
        run.hour = (int32_t)get_u32le(bytes.p + 16);
        run.rows = get_u32le(bytes.p + 20);
    }
    model_run_file(&run, name);
    ASSERT(path_join(path, sizeof path, "d", name, NULL));
    ASSERT(dir_make(os, "d", &e) && file_replace(os, path, bytes, &e));
    bool ok = model_filters_load(&f, os, "d", &run, &e);
    ASSERT(!valid || ok == (bytes.p[7] == '2' || f.refused));
    ASSERT(!valid || model_run_may(&run, id));
    model_filters_drop(&f, &run);
    ASSERT(mem.bytes == 0 && f.bytes == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mem mem;
    struct err e = {0};
    struct buf head;
    struct model_run run;
    struct model_row row;
    struct hash128 id = {1, 2};
    bool found = false;
    struct str bytes = str_of((const char *)data, size);
    char name[MODEL_RUN_FILE_BYTES];
    mem_init(&mem, 0);
    if (model_run_file_parse(bytes, &run)) {
        model_run_file(&run, name);
        ASSERT(str_eq(str_from_c(name), bytes));
    }
    struct simos *sim = simos_new(1);
    const struct os *os = simos_os(sim);
    struct model_run_name *names = malloc(MODEL_RUN_NAMES_MAX * sizeof *names);
    buf_init(&head, &mem, (size_t)32 << 20);
    ASSERT(names != NULL);
    bool valid = model_run_validate(bytes, &e);
    ASSERT(valid || e.code == ERR_CORRUPT);
    ASSERT(file_replace(os, "x", bytes, &e));
    if (valid) {
        struct model_run_header h;
        ASSERT(model_run_header_read(bytes, &h, names, &e));
        memcpy(&id.hi, bytes.p + h.data_off + 8, 8);
        memcpy(&id.lo, bytes.p + h.data_off + 16, 8);
    }
    bool ok = model_run_find(os, "x", id, 42, &head, names, &row, &found, &e);
    ASSERT(!valid || (ok && found));
    load_filter(os, bytes, valid, id);
    buf_release(&head);
    free(names);
    simos_free(sim);
    ASSERT(mem.bytes == 0);
    return 0;
}
