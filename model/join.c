/* Join store of one shard: rows in memory by id and by hour, the oldest hours in run files.
 *
 * Rows live in chunks (no copying when the store grows), an index of ids leads to them, and each
 * hour of EndToEndIds is a list through model_row.next. When rows_max is reached the oldest
 * hours are written out until one eighth is free, so that spilling is rare and in large pieces.
 * A decision that arrives for an hour already written opens the hour again; later it becomes one
 * more file of that hour.
 *
 * When a file cannot be written its rows are given up, counted and logged: memory stays bounded
 * and the monitor goes on; labels of those decisions will be reported as unmatched.
 *
 * Invariants: an id is at most once in memory; rows_used = rows of all parts; parts are sorted
 * by hour. */
#include "model/join_int.h"

#include "base/file.h"
#include "model/names_int.h"

#include <stdlib.h>

#define NS_PER_HOUR        (3600 * NS_PER_S)
#define RUN_BYTES_OVERHEAD 256u

void model_join_init(struct model_join *j, struct mem *m, const struct os *os, const char *dir,
                     struct log *log, uint32_t shard, uint32_t rows_max, size_t filter_bytes_max,
                     uint64_t dims_hash)
{
    *j = (struct model_join){.mem = m,
                             .os = os,
                             .dir = dir,
                             .log = log,
                             .shard = shard,
                             .rows_max = rows_max,
                             .filters = {.mem = m, .bytes_max = filter_bytes_max},
                             .dims_hash = dims_hash,
                             .rows_free = MODEL_NIL};
    model_ids_init(&j->ids, m);
    buf_init(&j->head, m, (size_t)32 << 20);
}

void model_join_release(struct model_join *j)
{
    for (size_t i = 0; i * MODEL_ROWS_CHUNK < j->rows_made; i++) {
        mem_give(j->mem, j->chunks[i], MODEL_ROWS_CHUNK * sizeof **j->chunks);
    }
    mem_give(j->mem, j->chunks, j->chunks_cap * sizeof *j->chunks);
    mem_give(j->mem, j->parts, j->parts_cap * sizeof *j->parts);
    for (uint32_t i = 0; i < j->runs_count; i++) {
        model_filters_drop(&j->filters, &j->runs[i]);
    }
    mem_give(j->mem, j->runs, j->runs_cap * sizeof *j->runs);
    mem_give(j->mem, j->names, j->names ? MODEL_RUN_NAMES_MAX * sizeof *j->names : 0);
    model_ids_release(&j->ids);
    buf_release(&j->head);
    model_join_init(j, j->mem, j->os, j->dir, j->log, j->shard, j->rows_max, j->filters.bytes_max,
                    j->dims_hash);
}

int32_t model_hour_of(const struct e2e *id)
{
    int64_t ns = e2e_minute_ns(id);
    return (int32_t)(ns >= 0 ? ns / NS_PER_HOUR : -((-ns + NS_PER_HOUR - 1) / NS_PER_HOUR));
}

/* ---- parts ---- */

/* First part at or after the hour. Newest hours are asked for most. */
static uint32_t part_at(const struct model_join *j, int32_t hour)
{
    if (j->parts_count > 0 && j->parts[j->parts_count - 1].hour == hour) {
        return j->parts_count - 1;
    }
    uint32_t lo = 0;
    uint32_t hi = j->parts_count;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (j->parts[mid].hour < hour) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

static struct model_part *part_open(struct model_join *j, int32_t hour)
{
    uint32_t at = part_at(j, hour);
    if (at < j->parts_count && j->parts[at].hour == hour) {
        return &j->parts[at];
    }
    void *p = j->parts;
    bool ok = mem_array_grow(j->mem, &p, &j->parts_cap, (size_t)j->parts_count + 1, MODEL_PARTS_MAX,
                             sizeof *j->parts);
    j->parts = p;
    if (!ok) {
        return NULL;
    }
    memmove(&j->parts[at + 1], &j->parts[at], (j->parts_count - at) * sizeof *j->parts);
    j->parts[at] = (struct model_part){hour, MODEL_NIL, 0};
    j->parts_count++;
    return &j->parts[at];
}

static void part_remove(struct model_join *j, uint32_t at)
{
    for (uint32_t idx = j->parts[at].first; idx != MODEL_NIL;) {
        struct model_row *row = model_join_row(j, idx);
        uint32_t next = row->next;
        model_ids_remove(&j->ids, row->id, idx);
        row->next = j->rows_free;
        j->rows_free = idx;
        j->rows_used--;
        idx = next;
    }
    memmove(&j->parts[at], &j->parts[at + 1], (j->parts_count - at - 1) * sizeof *j->parts);
    j->parts_count--;
}

/* ---- spilling ---- */

/* A run's dictionary and the numbers of the shard's names in it (0 = not yet). */
struct dict {
    struct model_run_name *names;
    uint32_t names_count;
    uint16_t *map;
    size_t map_count;
    size_t base[MODEL_RUN_KINDS];
};

static uint16_t dict_add(struct dict *d, const struct model_names *names, uint32_t kind,
                         uint16_t id)
{
    if (id < MODEL_NAME_FIRST) {
        return id;
    }
    uint16_t *to = &d->map[d->base[kind] + id];
    if (*to == 0 && d->names_count < MODEL_RUN_NAMES_MAX - MODEL_NAME_FIRST) {
        d->names[d->names_count++] =
            (struct model_run_name){(uint8_t)kind, model_names_str(names, kind, id)};
        *to = (uint16_t)(d->names_count - 1 + MODEL_NAME_FIRST);
    }
    return *to == 0 ? MODEL_NAME_OTHER : *to;
}

static bool names_scratch(struct model_join *j)
{
    if (j->names == NULL) {
        j->names = mem_take(j->mem, MODEL_RUN_NAMES_MAX * sizeof *j->names);
    }
    return j->names != NULL;
}

/* Rows of the part, sorted, with names of the file: into rows (room for all). */
static void part_rows(const struct model_join *j, const struct model_names *names,
                      const struct model_part *part, struct dict *d, struct model_row *rows)
{
    uint32_t n = 0;
    for (uint32_t idx = part->first; idx != MODEL_NIL; idx = model_join_row(j, idx)->next) {
        rows[n] = *model_join_row(j, idx);
        rows[n].version = dict_add(d, names, 0, rows[n].version);
        for (uint32_t k = 0; k < RECORD_DIMS_MAX; k++) {
            rows[n].dims[k] = dict_add(d, names, k + 1, rows[n].dims[k]);
        }
        n++;
    }
    ASSERT(n == part->rows);
    qsort(rows, n, sizeof *rows, model_row_cmp);
}

static bool run_file_write(struct model_join *j, const struct model_run *run, struct str bytes,
                           struct err *e)
{
    char file[MODEL_RUN_FILE_BYTES];
    char path[PATH_BYTES_MAX];
    model_run_file(run, file);
    if (!j->dir_made) {
        if (!dir_make(j->os, j->dir, e)) {
            return false;
        }
        j->dir_made = true;
    }
    return path_join(path, sizeof path, j->dir, file, e) && file_replace(j->os, path, bytes, e);
}

/* The filter that ends the bytes of a file, kept in memory when there is room. */
static void filter_keep(struct model_join *j, struct model_run *run, struct str bytes)
{
    size_t n = model_filter_bytes(run->rows);
    char *to = model_filters_take(&j->filters, j->runs, j->runs_count, run);
    if (to != NULL) {
        memcpy(to, bytes.p + bytes.n - n, n);
    }
}

static bool part_write(struct model_join *j, const struct model_names *names,
                       const struct model_part *part, struct err *e)
{
    struct dict d = {.names = names_scratch(j) ? j->names : NULL};
    for (uint32_t k = 0; k < MODEL_RUN_KINDS; k++) {
        d.base[k] = d.map_count;
        d.map_count += model_names_count(names, k);
    }
    size_t bytes_max = (size_t)part->rows * (MODEL_RUN_ROW_BYTES + 1) +
                       model_filter_bytes(part->rows) + d.map_count * 258 + RUN_BYTES_OVERHEAD;
    struct buf b;
    buf_init(&b, j->mem, bytes_max);
    void *runs = j->runs;
    bool ok = mem_array_grow(j->mem, &runs, &j->runs_cap, (size_t)j->runs_count + 1, MODEL_RUNS_MAX,
                             sizeof *j->runs);
    j->runs = runs;
    d.map = mem_take(j->mem, d.map_count * sizeof *d.map);
    struct model_row *rows = mem_take(j->mem, part->rows * sizeof *rows);
    if (!ok || d.names == NULL || d.map == NULL || rows == NULL) {
        ok = err_set(e, ERR_NOMEM, "no memory to write a join run of %u rows", part->rows);
        goto out;
    }
    part_rows(j, names, part, &d, rows);
    model_run_write(&b, part->hour, j->dims_hash, d.names, d.names_count, rows, part->rows);
    struct model_run run = {part->hour, j->shard, j->run_next, part->rows, NULL};
    ok = buf_ok(&b, e) && run_file_write(j, &run, buf_str(&b), e);
    if (ok) {
        filter_keep(j, &run, buf_str(&b));
        j->runs[j->runs_count++] = run;
        j->run_next++;
    }
out:
    mem_give(j->mem, rows, part->rows * sizeof *rows);
    mem_give(j->mem, d.map, d.map_count * sizeof *d.map);
    buf_release(&b);
    return ok;
}

static void part_spill(struct model_join *j, const struct model_names *names, uint32_t at)
{
    struct err e = {0};
    uint32_t rows = j->parts[at].rows;
    if (part_write(j, names, &j->parts[at], &e)) {
        j->spilled += rows;
    } else {
        j->spill_failures++;
        j->shed += rows;
        log_line(j->log, LOG_ERROR, "model", "join rows given up: %u, because: %s", rows, e.msg);
    }
    part_remove(j, at);
}

/* Writes the oldest hours until one eighth of the rows is free. Small hours first stay (a late
 * trickle would make a file a row), but never at the price of the bound. */
static void spill(struct model_join *j, const struct model_names *names)
{
    uint32_t target = j->rows_max - j->rows_max / 8;
    for (uint32_t at = 0; at < j->parts_count && j->rows_used >= target;) {
        if (j->parts[at].rows >= MODEL_PART_ROWS_MIN) {
            part_spill(j, names, at);
        } else {
            at++;
        }
    }
    while (j->parts_count > 0 && (j->rows_used >= target || j->parts_count >= MODEL_PARTS_MAX)) {
        part_spill(j, names, 0);
    }
}

bool model_join_add(struct model_join *j, struct model_names *names, int32_t hour,
                    const struct model_row *row)
{
    if (j->rows_used >= j->rows_max || j->parts_count >= MODEL_PARTS_MAX) {
        spill(j, names);
    }
    uint32_t idx = j->rows_free;
    if (idx == MODEL_NIL) {
        idx = j->rows_made;
        size_t chunk = idx / MODEL_ROWS_CHUNK;
        void *p = j->chunks;
        bool ok =
            mem_array_grow(j->mem, &p, &j->chunks_cap, chunk + 1, SIZE_MAX / 8, sizeof *j->chunks);
        j->chunks = p;
        if (!ok ||
            (j->chunks[chunk] = mem_take(j->mem, MODEL_ROWS_CHUNK * sizeof **j->chunks)) == NULL) {
            j->shed++;
            return false;
        }
        for (uint32_t k = 0; k < MODEL_ROWS_CHUNK; k++) {
            j->chunks[chunk][k].next = k + 1 < MODEL_ROWS_CHUNK ? idx + k + 1 : MODEL_NIL;
        }
        j->rows_made += MODEL_ROWS_CHUNK;
        j->rows_free = idx;
    }
    struct model_part *part = part_open(j, hour);
    if (part == NULL || !model_ids_add(&j->ids, row->id, idx)) {
        j->shed++;
        return false;
    }
    struct model_row *to = model_join_row(j, idx);
    j->rows_free = to->next;
    *to = *row;
    to->next = part->first;
    part->first = idx;
    part->rows++;
    j->rows_used++;
    return true;
}

void model_join_drop_before(struct model_join *j, int32_t hour)
{
    while (j->parts_count > 0 && j->parts[0].hour < hour) {
        part_remove(j, 0);
    }
}

/* ---- finding ---- */

/* Names of the file to names of the shard. */
static bool row_localise(struct model_names *names, const struct model_run_name *dict,
                         struct model_row *row)
{
    for (uint32_t kind = 0; kind < MODEL_RUN_KINDS; kind++) {
        uint16_t *id = kind == 0 ? &row->version : &row->dims[kind - 1];
        if (*id >= MODEL_NAME_FIRST) {
            const struct model_run_name *name = &dict[*id - MODEL_NAME_FIRST];
            if (name->kind != kind) {
                return false;
            }
            *id = model_names_add(names, kind, name->text);
        }
    }
    return true;
}

static bool find_in_run(struct model_join *j, struct model_names *names,
                        const struct model_run *run, struct hash128 id, struct model_row *out)
{
    char file[MODEL_RUN_FILE_BYTES];
    char path[PATH_BYTES_MAX];
    struct err e = {0};
    bool found = false;
    if (!model_run_may(run, id)) {
        return false;
    }
    model_run_file(run, file);
    bool ok = names_scratch(j) && path_join(path, sizeof path, j->dir, file, &e) &&
              model_run_find(j->os, path, id, j->dims_hash, &j->head, j->names, out, &found, &e);
    if (ok && found && !row_localise(names, j->names, out)) {
        ok = err_set(&e, ERR_CORRUPT, "names of '%s' are damaged", file);
    }
    if (!ok) {
        j->read_failures++;
        log_line(j->log, LOG_ERROR, "model", "a join run could not be read: %s", e.msg);
    }
    return ok && found;
}

const struct model_row *model_join_find(struct model_join *j, struct model_names *names,
                                        const struct model_run *shared, uint32_t shared_count,
                                        struct hash128 id, int32_t hour, struct model_row *scratch)
{
    size_t at = SIZE_MAX;
    for (uint32_t idx; (idx = model_ids_next(&j->ids, id, &at)) != MODEL_NIL;) {
        if (hash128_eq(model_join_row(j, idx)->id, id)) {
            return model_join_row(j, idx);
        }
    }
    for (uint32_t i = j->runs_count; i-- > 0;) {
        if (j->runs[i].hour == hour && find_in_run(j, names, &j->runs[i], id, scratch)) {
            return scratch;
        }
    }
    uint32_t lo = 0;
    uint32_t hi = shared_count;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (shared[mid].hour < hour) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    for (; lo < shared_count && shared[lo].hour == hour; lo++) {
        if (find_in_run(j, names, &shared[lo], id, scratch)) {
            return scratch;
        }
    }
    return NULL;
}
