/* A join run of any bytes: model_run_validate and model_run_header_read return; a lookup in a
 * file of these bytes returns; the name of a file is read strictly. What is valid is found row
 * by row. */
#include "base/file.h"
#include "base/simos.h"
#include "model/join_int.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
    buf_release(&head);
    free(names);
    simos_free(sim);
    ASSERT(mem.bytes == 0);
    return 0;
}
