/* The pillar's part of a checkpoint. It does not name shards: names are text, sums are merged by
 * adding, and what belongs to an id goes to the shard of its hash when it is read back.
 *
 *   magic "FRLMODL1", u32 version
 *   dims     u32 count, text...: segment dimensions as configured then
 *   names    9 times (versions, then values per dimension): u32 count, text...; the number of a
 *            name is 2 + its place, 0 = missing, 1 = other
 *   i64 watermark, i32 first day kept
 *   cohorts  u32 count; i32 day, u16 version, u8 dim, u16 value, u64 n, u64 amounts missing,
 *            u64 scored, 5 u64 verdicts, 5 i128 amounts, i128 s, s2, s4, nll, nll2, u32 scores
 *            of f64 (all of the scored, or 0: then cells), u32 cells of (u16 cell, u32 n, u32 tag,
 *            i64 sum), u32 cells of money of (u16 cell, i128 centavos); dim 9: the flagged
 *   labels   u32 count, each id oldest first; id, i64 t_ns, f64 score (NaN = none), i64 amount,
 *            u64 event, u64 supersedes, i32 day, u16 version, 8 u16 dims, u8 truth, u8 source,
 *            u8 verdict
 *   waiting  u32 count, each id oldest first; id, i64 t_ns, u64 event, u64 supersedes, u8 truth,
 *            u8 source
 *   runs     u32 count; i32 hour, u32 shard, u32 number, u32 rows
 *   leaving  u32 count; run as above, u32 saves
 *   rows     u32 count; i32 hour, id, i64 t_ns, f64 score, i64 amount, 8 u16 dims, u16 version,
 *            u8 verdict
 *   versions u32 count; u16 version, u32 n of (u16 place, u64 decisions), 15 u64 scores,
 *            i128 sum, 26 u64 latencies, i128 ns, f64 threshold, i64 its time
 *   models   u32 count; text model, text sha256, u16 version
 *   features u32 count; text ("" = other), u64 values, nulls, defaults
 *   counters 21 u64 labels in, 6 u64 judged, 9 u64 delays, i128 ns, 5 u64 dropped, 5 u64 refused,
 *            5 i128 centavos, i64 last label's arrival
 *   drift    what model/drift/save.c draws
 *
 * id = u64 hi, u64 lo. text = u32 length, bytes. i128 = low u64, high u64. Little-endian. The
 * file around it has the checksum. Windows of the last minute are not saved: they are the last
 * minute's.
 *
 * Saving also ages the files on their way out: see tick.c. */
#include "model/model_int.h"
#include "model/saved_int.h"

struct saver {
    struct buf *b;
    struct model *m;
    void *const *states;
    uint32_t n;
    struct model_names g;
    uint16_t **maps; /* [shard * KINDS + kind]: numbers of the shard to numbers of g */
};

#define KINDS (RECORD_DIMS_MAX + 1)

static void put_i128(struct buf *b, i128 v)
{
    buf_u64le(b, (uint64_t)(u128)v);
    buf_u64le(b, (uint64_t)((u128)v >> 64));
}

static void put_id(struct buf *b, struct hash128 id)
{
    buf_u64le(b, id.hi);
    buf_u64le(b, id.lo);
}

/* A count that is known only afterwards. */
static size_t count_open(struct buf *b)
{
    buf_u32le(b, 0);
    return b->n;
}

static void count_close(struct buf *b, size_t at, uint32_t count)
{
    if (!b->failed) {
        put_u32le(b->p + at - 4, count);
    }
}

static uint16_t mapped(const struct saver *s, uint32_t shard, uint32_t kind, uint16_t id)
{
    return s->maps[shard * KINDS + kind][id];
}

static bool names_map(struct saver *s)
{
    const struct model_config *c = s->m->c;
    uint32_t most = (uint32_t)i64_min(i64_max(c->versions_max, c->segment_values_max) * s->n,
                                      UINT16_MAX - MODEL_NAME_FIRST);
    model_names_init(&s->g, s->m->mem, most, most);
    s->maps = mem_take(s->m->mem, (size_t)s->n * KINDS * sizeof *s->maps);
    for (uint32_t i = 0; s->maps != NULL && i < s->n * KINDS; i++) {
        const struct model_names *names = &model_shard_of(s->states, i / KINDS)->names;
        uint32_t count = model_names_count(names, i % KINDS);
        s->maps[i] = mem_take(s->m->mem, count * sizeof **s->maps);
        for (uint32_t id = 0; s->maps[i] != NULL && id < count; id++) {
            struct str text = model_names_str(names, i % KINDS, (uint16_t)id);
            s->maps[i][id] = model_names_add(&s->g, i % KINDS, text);
            if (id >= MODEL_NAME_FIRST && s->maps[i][id] < MODEL_NAME_FIRST) {
                return false; /* no memory for the name: a checkpoint must not forget it */
            }
        }
        if (s->maps[i] == NULL) {
            return false;
        }
    }
    return s->maps != NULL;
}

static void names_release(struct saver *s)
{
    for (uint32_t i = 0; s->maps != NULL && i < s->n * KINDS; i++) {
        const struct model_names *names = &model_shard_of(s->states, i / KINDS)->names;
        mem_give(s->m->mem, s->maps[i], model_names_count(names, i % KINDS) * sizeof **s->maps);
    }
    mem_give(s->m->mem, s->maps, (size_t)s->n * KINDS * sizeof *s->maps);
    model_names_release(&s->g);
}

static void save_names(struct saver *s)
{
    const struct conf_strs *dims = &s->m->c->segments;
    buf_u32le(s->b, dims->count);
    for (uint32_t i = 0; i < dims->count; i++) {
        buf_str32(s->b, dims->v[i]);
    }
    for (uint32_t kind = 0; kind < KINDS; kind++) {
        uint32_t count = model_names_count(&s->g, kind) - MODEL_NAME_FIRST;
        buf_u32le(s->b, count);
        for (uint32_t i = 0; i < count; i++) {
            buf_str32(s->b, model_names_str(&s->g, kind, (uint16_t)(i + MODEL_NAME_FIRST)));
        }
    }
}

static void save_money(struct buf *b, const struct model_cohort *c)
{
    const size_t at = count_open(b);
    uint32_t cells = 0;
    for (uint32_t i = 0; c->money != NULL && i < MODEL_MONEY_CELLS; i++) {
        if (c->money[i] != 0) {
            buf_u16le(b, (uint16_t)i);
            put_i128(b, c->money[i]);
            cells++;
        }
    }
    count_close(b, at, cells);
}

static void save_cohort(struct saver *s, uint32_t shard, const struct model_cohort *c)
{
    struct buf *b = s->b;
    const struct model_base *base = &c->base;
    buf_u32le(b, (uint32_t)c->day);
    buf_u16le(b, mapped(s, shard, 0, c->version));
    buf_u8(b, c->dim);
    const bool segment = c->dim != MODEL_ALL_DIM && c->dim != MODEL_FLAGGED_DIM;
    buf_u16le(b, segment ? mapped(s, shard, c->dim, c->value) : 0);
    buf_u64le(b, base->n);
    buf_u64le(b, base->amounts_missing);
    buf_u64le(b, base->scored);
    for (uint32_t v = 0; v < VERDICTS; v++) {
        buf_u64le(b, base->verdicts[v]);
    }
    for (uint32_t v = 0; v < VERDICTS; v++) {
        put_i128(b, base->amounts[v]);
    }
    put_i128(b, base->s);
    put_i128(b, base->s2);
    put_i128(b, base->s4);
    put_i128(b, base->nll);
    put_i128(b, base->nll2);
    uint32_t scores = c->celled ? 0 : (uint32_t)base->scored;
    buf_u32le(b, scores);
    for (uint32_t i = 0; i < scores; i++) {
        buf_f64le(b, model_cohort_score(c, i));
    }
    size_t at = count_open(b);
    uint32_t cells = 0;
    for (uint32_t i = 0; i < model_cohort_cells(c); i++) {
        const struct model_cell *cell = model_cohort_cell(c, i);
        if (cell != NULL && cell->n > 0) {
            buf_u16le(b, (uint16_t)i);
            buf_u32le(b, cell->n);
            buf_u32le(b, cell->tag);
            buf_u64le(b, (uint64_t)cell->sum);
            cells++;
        }
    }
    count_close(b, at, cells);
    save_money(b, c);
}

static void save_cohorts(struct saver *s)
{
    size_t at = count_open(s->b);
    uint32_t count = 0;
    for (uint32_t k = 0; k < s->n; k++) {
        const struct model_cohorts *t = &model_shard_of(s->states, k)->cohorts;
        for (size_t i = 0; i < t->cap; i++) {
            if (t->slots[i] != NULL && t->slots[i]->base.n > 0) {
                save_cohort(s, k, t->slots[i]);
                count++;
            }
        }
    }
    count_close(s->b, at, count);
}

static void save_label(struct saver *s, uint32_t shard, const struct model_label *l)
{
    struct buf *b = s->b;
    put_id(b, l->id);
    buf_u64le(b, (uint64_t)l->t_ns);
    buf_f64le(b, l->score);
    buf_u64le(b, (uint64_t)l->amount_centavos);
    buf_u64le(b, l->event);
    buf_u64le(b, l->supersedes);
    buf_u32le(b, (uint32_t)l->day);
    buf_u16le(b, mapped(s, shard, 0, l->version));
    for (uint32_t i = 0; i < RECORD_DIMS_MAX; i++) {
        buf_u16le(b, mapped(s, shard, i + 1, l->dims[i]));
    }
    buf_u8(b, l->truth);
    buf_u8(b, l->source);
    buf_u8(b, l->verdict);
}

static void save_labels(struct saver *s)
{
    size_t at = count_open(s->b);
    uint32_t count = 0;
    for (uint32_t k = 0; k < s->n; k++) {
        const struct model_labels *t = &model_shard_of(s->states, k)->labels;
        for (uint32_t i = 0; i < t->made; i++) {
            uint32_t chain[MODEL_LABELS_PER_ID_MAX];
            uint32_t n = 0;
            for (uint32_t x = t->v[i].newest ? i : MODEL_NIL; x != MODEL_NIL; x = t->v[x].prev) {
                chain[n++] = x;
            }
            count += n;
            while (n > 0) {
                save_label(s, k, &t->v[chain[--n]]);
            }
        }
    }
    count_close(s->b, at, count);
    at = count_open(s->b);
    count = 0;
    for (uint32_t k = 0; k < s->n; k++) {
        const struct model_labels *t = &model_shard_of(s->states, k)->labels;
        for (uint32_t i = 0; i < t->w_made; i++) {
            uint32_t chain[MODEL_LABELS_PER_ID_MAX];
            uint32_t n = 0;
            for (uint32_t x = t->w[i].newest ? i : MODEL_NIL; x != MODEL_NIL; x = t->w[x].prev) {
                chain[n++] = x;
            }
            count += n;
            while (n > 0) {
                const struct model_waiting *w = &t->w[chain[--n]];
                put_id(s->b, w->id);
                buf_u64le(s->b, (uint64_t)w->t_ns);
                buf_u64le(s->b, w->event);
                buf_u64le(s->b, w->supersedes);
                buf_u8(s->b, w->truth);
                buf_u8(s->b, w->source);
            }
        }
    }
    count_close(s->b, at, count);
}

static void save_rows(struct saver *s)
{
    struct buf *b = s->b;
    size_t at = count_open(b);
    uint32_t count = 0;
    for (uint32_t k = 0; k < s->n; k++) {
        const struct model_join *j = &model_shard_of(s->states, k)->join;
        for (uint32_t p = 0; p < j->parts_count; p++) {
            for (uint32_t i = j->parts[p].first; i != MODEL_NIL; i = model_join_row(j, i)->next) {
                const struct model_row *r = model_join_row(j, i);
                buf_u32le(b, (uint32_t)j->parts[p].hour);
                put_id(b, r->id);
                buf_u64le(b, (uint64_t)r->t_ns);
                buf_f64le(b, r->score);
                buf_u64le(b, (uint64_t)r->amount_centavos);
                for (uint32_t d = 0; d < RECORD_DIMS_MAX; d++) {
                    buf_u16le(b, mapped(s, k, d + 1, r->dims[d]));
                }
                buf_u16le(b, mapped(s, k, 0, r->version));
                buf_u8(b, r->verdict);
                count++;
            }
        }
    }
    count_close(b, at, count);
}

static void save_run(struct buf *b, const struct model_run *r)
{
    buf_u32le(b, (uint32_t)r->hour);
    buf_u32le(b, r->shard);
    buf_u32le(b, r->number);
    buf_u32le(b, r->rows);
}

static void save_runs(struct saver *s)
{
    size_t at = count_open(s->b);
    uint32_t count = s->m->runs_count;
    for (uint32_t i = 0; i < s->m->runs_count; i++) {
        save_run(s->b, &s->m->runs[i]);
    }
    for (uint32_t k = 0; k < s->n; k++) {
        const struct model_join *j = &model_shard_of(s->states, k)->join;
        for (uint32_t i = 0; i < j->runs_count; i++) {
            save_run(s->b, &j->runs[i]);
        }
        count += j->runs_count;
    }
    count_close(s->b, at, count);
    buf_u32le(s->b, s->m->leaving_count);
    for (uint32_t i = 0; i < s->m->leaving_count; i++) {
        save_run(s->b, &s->m->leaving[i].run);
        buf_u32le(s->b, ++s->m->leaving[i].saves);
    }
}

static void save_versions(struct saver *s, const struct model_merged *g)
{
    struct buf *b = s->b;
    size_t at = count_open(b);
    uint32_t count = 0;
    for (uint32_t id = 0; id < g->versions_cap; id++) {
        const struct model_version *v = g->versions[id];
        uint16_t number = MODEL_NAME_OTHER;
        if (v == NULL) {
            continue;
        }
        if (!model_names_find(&s->g, 0, model_names_str(&g->names, 0, (uint16_t)id), &number)) {
            number = MODEL_NAME_OTHER;
        }
        buf_u16le(b, number);
        size_t pairs_at = count_open(b);
        uint32_t pairs = 0;
        for (uint32_t i = 0; i < VERDICTS * FALLBACKS * FORMS; i++) {
            if ((&v->decisions[0][0][0])[i] != 0) {
                buf_u16le(b, (uint16_t)i);
                buf_u64le(b, (&v->decisions[0][0][0])[i]);
                pairs++;
            }
        }
        count_close(b, pairs_at, pairs);
        for (uint32_t i = 0; i <= MODEL_SCORE_EDGES; i++) {
            buf_u64le(b, v->scores[i]);
        }
        put_i128(b, v->score_sum);
        for (uint32_t i = 0; i <= MODEL_LATENCY_EDGES; i++) {
            buf_u64le(b, v->latencies[i]);
        }
        put_i128(b, v->latency_ns);
        buf_f64le(b, v->threshold);
        buf_u64le(b, (uint64_t)v->threshold_ns);
        count++;
    }
    count_close(b, at, count);
}

static void save_models(struct saver *s)
{
    size_t at = count_open(s->b);
    uint32_t count = 0;
    for (uint32_t k = 0; k < s->n; k++) {
        const struct model_shard *sh = model_shard_of(s->states, k);
        for (uint32_t i = 0; i < sh->shas_count; i++) {
            buf_str32(s->b, str_of(sh->shas[i].model, sh->shas[i].model_n));
            buf_str32(s->b, str_of(sh->shas[i].sha, sh->shas[i].sha_n));
            buf_u16le(s->b, mapped(s, k, 0, sh->shas[i].version));
            count++;
        }
    }
    count_close(s->b, at, count);
}

static void save_features(struct saver *s, const struct model_merged *g)
{
    size_t at = count_open(s->b);
    uint32_t count = 0;
    for (uint32_t i = 0; i < g->features_cap; i++) {
        const struct model_merged_feature *f = &g->features[i];
        if (f->values + f->nulls > 0) {
            buf_str32(s->b,
                      i < g->feature_names.count ? intern_str(&g->feature_names, i) : STR(""));
            buf_u64le(s->b, f->values);
            buf_u64le(s->b, f->nulls);
            buf_u64le(s->b, f->defaults);
            count++;
        }
    }
    count_close(s->b, at, count);
}

/* Adds up one u64 (or i128) field of all shards, by its offset. */
static void put_sums(struct saver *s, size_t offset, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint64_t sum = 0;
        for (uint32_t k = 0; k < s->n; k++) {
            uint64_t v = 0;
            memcpy(&v, (const char *)s->states[k] + offset + i * sizeof v, sizeof v);
            sum += v;
        }
        buf_u64le(s->b, sum);
    }
}

static void put_sums_i128(struct saver *s, size_t offset, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        i128 sum = 0;
        for (uint32_t k = 0; k < s->n; k++) {
            i128 v = 0;
            memcpy(&v, (const char *)s->states[k] + offset + i * sizeof v, sizeof v);
            sum += v;
        }
        put_i128(s->b, sum);
    }
}

#define SHARD(field) offsetof(struct model_shard, field)

static void save_counters(struct saver *s)
{
    int64_t seen = T_NS_NONE;
    put_sums(s, SHARD(labels_in), TRUTHS * LABEL_SOURCES);
    put_sums(s, SHARD(judged), 2 * TRUTHS);
    put_sums(s, SHARD(delays), MODEL_DELAY_EDGES + 1);
    put_sums_i128(s, SHARD(delay_ns), 1);
    put_sums(s, SHARD(label_drops), MODEL_DROPS);
    put_sums(s, SHARD(refusals), MODEL_REFUSALS);
    put_sums_i128(s, SHARD(brl), VERDICTS);
    for (uint32_t k = 0; k < s->n; k++) {
        seen = i64_max(seen, model_shard_of(s->states, k)->label_seen_ns);
    }
    buf_u64le(s->b, (uint64_t)seen);
}

void model_save(void *app, void *const *states, uint32_t n, struct buf *out)
{
    struct saver s = {.b = out, .m = app, .states = states, .n = n};
    struct model_merged g;
    bool ok = model_merge(s.m, states, n, 0, &g);
    ok = ok && names_map(&s);
    if (!ok) {
        out->failed = true;
    } else {
        BUF_LIT(out, MODEL_SAVED_MAGIC);
        buf_u32le(out, MODEL_SAVED_VERSION);
        save_names(&s);
        buf_u64le(out, (uint64_t)s.m->watermark_ns);
        buf_u32le(out, (uint32_t)s.m->day_first);
        save_cohorts(&s);
        save_labels(&s);
        save_runs(&s);
        save_rows(&s);
        save_versions(&s, &g);
        save_models(&s);
        save_features(&s, &g);
        save_counters(&s);
        model_drift_save(s.m, states, n, out);
    }
    names_release(&s);
    model_merged_release(&g);
}
