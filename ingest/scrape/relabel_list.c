/* Relabelling for others than scrape jobs: alerts on their way out, series on their way out. */
#include "ingest/scrape/relabel_int.h"
#include "ingest/scrape/scrape.h"

#define ARENA_BYTES_MAX   (4U << 20)
#define SCRATCH_BYTES_MAX (1U << 20)

struct scrape_relabel {
    struct mem *mem; /* borrows */
    struct arena arena;
    struct relabel_rules rules;
};

bool scrape_relabel_new(const struct yaml_node *list, struct mem *m, struct scrape_relabel **out,
                        struct err *e)
{
    struct scrape_relabel *r = mem_take(m, sizeof *r);
    if (r == NULL) {
        return err_set(e, ERR_NOMEM, "no memory for relabelling");
    }
    r->mem = m;
    arena_init(&r->arena, m, ARENA_BYTES_MAX);
    if (!relabel_read(list, false, m, &r->arena, &r->rules, e) ||
        !relabel_check(&r->rules, false, e)) {
        scrape_relabel_free(r);
        return false;
    }
    *out = r;
    return true;
}

void scrape_relabel_free(struct scrape_relabel *r)
{
    if (r != NULL) {
        relabel_release(&r->rules);
        arena_release(&r->arena);
        mem_give(r->mem, r, sizeof *r);
    }
}

bool scrape_relabel_apply(const struct scrape_relabel *r, struct label *v, uint32_t *n,
                          uint32_t cap, struct arena *a)
{
    struct lset l;
    struct buf scratch;
    lset_init(&l, a);
    buf_init(&scratch, a->mem, SCRATCH_BYTES_MAX);
    for (uint32_t i = 0; i < *n; i++) {
        lset_set(&l, v[i].name, v[i].value);
    }
    const bool kept = relabel_apply(&r->rules, &l, &scratch) && !l.failed && l.n <= cap;
    if (kept && l.n > 0) {
        memcpy(v, l.v, l.n * sizeof *v);
    }
    *n = kept ? l.n : 0;
    buf_release(&scratch);
    return kept;
}
