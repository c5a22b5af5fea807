/* Faults: the table that names them, the parser of --fault, and whether one strikes.
 *
 *   spec     = ( name | number ) [ ":" param { "," param } ] [ "@" start [ "+" length ] ]
 *   param    = key "=" value
 *   start    = duration, from the begin of the run       length = duration | "end"
 *
 * Defaults are specifications too and go through the same parser. Whether a fault strikes a
 * transaction is a function of (seed, transaction, fault): adding a fault leaves everything else
 * as it was. */
#include "sim/sim_int.h"

#include <stdio.h>

#define CATALOGUE_MAX 60 /* numbers of the failure catalogue */

static const struct sim_fault_info faults[SIM_FAULT_KINDS] = {
    [SIM_LOST] = {"lost",
                  3,
                  "share,stage",
                  "lost:share=0.01,stage=score@60s+2m",
                  {"transações somem antes de concluir uma etapa (stage=any: qualquer uma)",
                   "transactions vanish before they finish a stage (stage=any: any of them)"}},
    [SIM_DUPLICATES] = {"duplicates",
                        4,
                        "share,stage,delay",
                        "duplicates:share=0.05,stage=any,delay=2s@60s+2m",
                        {"eventos de etapa e decisões são entregues duas vezes",
                         "stage events and decisions are delivered twice"}},
    [SIM_LOCAL_TIME] = {"local_time",
                        9,
                        "share,value",
                        "local_time:share=1,value=0.1@60s+2m",
                        {"EndToEndId com a hora de Brasília; value = parte recusada com FF08",
                         "EndToEndId made with Brasilia time; value = share rejected with FF08"}},
    [SIM_CLOCK_SKEW] = {"clock_skew",
                        10,
                        "host,offset",
                        "clock_skew:host=features-2,offset=400ms@60s+2m",
                        {"o relógio de um host adianta", "the clock of one host runs ahead"}},
    [SIM_DICT] = {"dict",
                  16,
                  "share,value",
                  "dict:share=1,value=0.5@60s+39m",
                  {"DICT fora do ar; value = parte dos pagamentos com chave que nem começa",
                   "DICT down; value = share of payments with a key that never start"}},
    [SIM_NULLS] = {"nulls",
                   25,
                   "feature,share",
                   "nulls:feature=device_age_days,share=1@60s+5m",
                   {"uma variável vira nula, sem erro",
                    "one feature turns null, without an error"}},
    [SIM_UNIT] = {"unit",
                  28,
                  "feature,factor,share",
                  "unit:feature=amount_brl,factor=100,share=1@60s+5m",
                  {"uma variável muda de unidade", "one feature changes its unit"}},
    [SIM_SLOW_SCORE] = {"slow_score",
                        35,
                        "version,factor,share",
                        "slow_score:version=7.4.0,factor=8,share=0.5@60s+5m",
                        {"versão nova do modelo, mais lenta", "a new, slower model version"}},
    [SIM_THRESHOLD] = {"threshold",
                       39,
                       "value",
                       "threshold:value=0.095@60s+5m",
                       {"limiar configurado errado", "threshold misconfigured"}},
    [SIM_FAIL_OPEN] = {"fail_open",
                       41,
                       "share",
                       "fail_open:share=0.05@60s+5m",
                       {"timeout do modelo vira aprovação", "model timeouts become approvals"}},
    [SIM_CONSTANT] = {"constant_score",
                      43,
                      "value,share",
                      "constant_score:value=0.5,share=1@60s+5m",
                      {"o modelo devolve sempre o mesmo score", "the score is always the same"}},
    [SIM_AB03] = {"ab03",
                  50,
                  "share",
                  "ab03:share=0.05@60s+5m",
                  {"liquidações expiram em 40 s", "settlements time out at 40 s"}},
    [SIM_HOLDS] = {"holds",
                   53,
                   "share,delay",
                   "holds:share=0.002,delay=6m@60s+10m",
                   {"retenções além do normal, vistas só perto do prazo (delay = prazo)",
                    "more holds than usual, seen only near their deadline (delay = deadline)"}},
    [SIM_LABELS] = {"labels_stop",
                    56,
                    "share,value",
                    "labels_stop:share=1,value=0@60s+30m",
                    {"rótulos param; value=1: chegam juntos no fim",
                     "labels stop; value=1: they arrive together at the end"}},
    [SIM_MULES] = {"mules",
                   58,
                   "factor",
                   "mules:factor=30@60s+10m",
                   {"onda de contas laranja: factor vezes a fraude normal, além dela",
                    "mule wave: factor times the usual fraud, on top of it"}},
    [SIM_SUPPLIER] = {"supplier",
                      59,
                      "",
                      "supplier@60s+1h",
                      {"credenciais de um fornecedor: 20 a 100 transferências enormes",
                       "supplier credentials: 20 to 100 very large transfers"}},
    [SIM_REORDER] = {"reorder",
                     0,
                     "share,delay",
                     "reorder:share=0.2,delay=60s@60s+2m",
                     {"eventos saem até delay depois", "events leave up to delay later"}},
    [SIM_REDIS] = {"redis",
                   32,
                   "version,factor",
                   "redis:version=2.8.1,factor=1@60s+end",
                   {"um deploy enche um shard do Redis: 1/8 dos pagadores perde variáveis; "
                    "factor = retenções a mais",
                    "a deploy fills a Redis shard: 1/8 of payers lose features; "
                    "factor = further holds"}},
};

const struct sim_fault_info *sim_fault_info(enum sim_fault_id id)
{
    ASSERT(id < SIM_FAULT_KINDS);
    return &faults[id];
}

static bool word_in(struct str list, struct str word)
{
    while (list.n > 0) {
        struct str_cut c = str_cut(list, ',');
        if (str_eq(c.head, word)) {
            return true;
        }
        list = c.tail;
    }
    return false;
}

static bool text_put(char *out, size_t cap, struct str v)
{
    bool good = v.n > 0 && v.n < cap;
    for (size_t i = 0; i < v.n && good; i++) {
        char c = v.p[i];
        good = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
               c == '-' || c == '.' || c == '_';
    }
    if (good) {
        memset(out, 0, cap);
        memcpy(out, v.p, v.n);
    }
    return good;
}

static bool stage_find(struct str v, int32_t *out)
{
    *out = -1;
    for (int i = ST_ENRICH; i < SIM_STAGES; i++) { /* lost before ingest was never entered */
        if (str_eq(v, sim_stage_names[i])) {
            *out = i;
        }
    }
    return *out >= 0 || str_eq(v, STR("any"));
}

static bool feature_find(struct str v, int32_t *out)
{
    for (int i = 0; i < SIM_NUMBERS; i++) {
        if (str_eq(v, str_from_c(sim_numbers[i].name))) {
            *out = i;
            return true;
        }
    }
    return false;
}

static bool share_parse(struct str v, double max, double *out)
{
    double x = 0;
    if (!str_to_f64(v, &x) || x < 0 || x > max) {
        return false;
    }
    *out = x;
    return true;
}

static bool ns_parse(struct str v, int64_t *out)
{
    int64_t ms = 0;
    bool minus = v.n > 0 && v.p[0] == '-';
    if (!str_to_duration_ms(minus ? str_sub(v, 1, v.n) : v, &ms) || ms > 366 * MS_PER_DAY) {
        return false;
    }
    *out = ns_from_ms(minus ? -ms : ms);
    return true;
}

static bool param_set(struct str key, struct str v, struct sim_fault *f)
{
    if (str_eq(key, STR("share"))) {
        return share_parse(v, 1, &f->share);
    }
    if (str_eq(key, STR("value"))) {
        return share_parse(v, 1, &f->value);
    }
    if (str_eq(key, STR("factor"))) {
        return share_parse(v, 1e6, &f->value);
    }
    if (str_eq(key, STR("offset"))) {
        return ns_parse(v, &f->ns) && f->ns >= -3600 * NS_PER_S && f->ns <= 3600 * NS_PER_S;
    }
    if (str_eq(key, STR("delay"))) {
        return ns_parse(v, &f->ns) && f->ns >= 0 && f->ns <= 3600 * NS_PER_S;
    }
    if (str_eq(key, STR("stage"))) {
        return stage_find(v, &f->stage);
    }
    if (str_eq(key, STR("feature"))) {
        return feature_find(v, &f->feature);
    }
    if (str_eq(key, STR("host"))) {
        return text_put(f->host, sizeof f->host, v);
    }
    return str_eq(key, STR("version")) && text_put(f->version, sizeof f->version, v);
}

static uint32_t col_of(struct str spec, struct str part)
{
    return part.p ? (uint32_t)(part.p - spec.p) + 1 : (uint32_t)spec.n + 1;
}

static bool params_parse(struct str spec, struct str list, struct sim_fault *f, struct err *e)
{
    const struct sim_fault_info *info = &faults[f->id];
    while (list.n > 0) {
        struct str_cut one = str_cut(list, ',');
        struct str_cut kv = str_cut(one.head, '=');
        if (!word_in(str_from_c(info->params), kv.head)) {
            return err_at(e, ERR_INPUT, 0, col_of(spec, kv.head),
                          "fault %s has no parameter '%.*s', it has: %s", info->name,
                          STR_FMT(kv.head), *info->params ? info->params : "none");
        }
        if (!kv.ok || !param_set(kv.head, kv.tail, f)) {
            return err_at(e, ERR_INPUT, 0, col_of(spec, one.head),
                          "'%.*s' is not a value for '%.*s' of fault %s", STR_FMT(kv.tail),
                          STR_FMT(kv.head), info->name);
        }
        list = one.tail;
    }
    return true;
}

static bool window_parse(struct str spec, struct str text, struct sim_fault *f, struct err *e)
{
    struct str_cut w = str_cut(text, '+');
    int64_t start = 0, length = f->end_ns == SIM_TO_THE_END ? -1 : f->end_ns - f->start_ns;
    if (!ns_parse(w.head, &start) || start < 0) {
        return err_at(e, ERR_INPUT, 0, col_of(spec, text),
                      "expected a start like 60s or 2m after '@', found '%.*s'", STR_FMT(w.head));
    }
    if (w.ok && str_eq(w.tail, STR("end"))) {
        length = -1;
    } else if (w.ok && (!ns_parse(w.tail, &length) || length <= 0)) {
        return err_at(e, ERR_INPUT, 0, col_of(spec, w.tail),
                      "expected a length like 2m or 'end' after '+', found '%.*s'",
                      STR_FMT(w.tail));
    }
    f->start_ns = start;
    f->end_ns = length < 0 ? SIM_TO_THE_END : start + length;
    return true;
}

static bool spec_apply(struct str spec, struct sim_fault *f, struct err *e)
{
    struct str_cut at = str_cut(spec, '@');
    struct str_cut head = str_cut(at.head, ':');
    if (head.ok && head.tail.n == 0) {
        return err_at(e, ERR_INPUT, 0, col_of(spec, head.tail), "expected key=value after ':'");
    }
    return params_parse(spec, head.tail, f, e) && (!at.ok || window_parse(spec, at.tail, f, e));
}

/* A number of the failure catalogue; 0 stands for "not in it" in the table and names nothing. */
static bool number_find(uint64_t number, enum sim_fault_id *out, struct err *e)
{
    char known[96] = "";
    size_t n = 0;
    for (int i = 0; i < SIM_FAULT_KINDS; i++) {
        if (number > 0 && (uint64_t)faults[i].number == number) {
            *out = (enum sim_fault_id)i;
            return true;
        }
    }
    for (int k = 1; k <= CATALOGUE_MAX; k++) { /* in order, whatever the order of the table */
        for (int i = 0; i < SIM_FAULT_KINDS; i++) {
            if (faults[i].number == k) {
                int more = snprintf(known + n, sizeof known - n, "%s%d", n > 0 ? ", " : "", k);
                ASSERT(more > 0 && (size_t)more < sizeof known - n);
                n += (size_t)more;
            }
        }
    }
    return err_at(e, ERR_INPUT, 0, 1, "no fault number %llu, there are %s (--list-faults)",
                  (unsigned long long)number, known);
}

static bool name_find(struct str name, enum sim_fault_id *out, struct err *e)
{
    size_t best = 4;
    uint64_t number = 0;
    if (str_to_u64(name, &number)) {
        return number_find(number, out, e);
    }
    const char *near = NULL;
    for (int i = 0; i < SIM_FAULT_KINDS; i++) {
        struct str n = str_from_c(faults[i].name);
        if (str_eq(name, n)) {
            *out = (enum sim_fault_id)i;
            return true;
        }
        size_t d = str_distance(name, n);
        if (d < best) {
            best = d;
            near = faults[i].name;
        }
    }
    return err_at(e, ERR_INPUT, 0, 1,
                  near ? "no fault '%.*s', did you mean '%s'" : "no fault '%.*s'%s", STR_FMT(name),
                  near ? near : "; farol sim --list-faults shows them");
}

bool sim_fault_parse(struct str spec, struct sim_fault *out, struct err *e)
{
    struct sim_fault f = {.stage = -1, .feature = -1, .share = 1};
    struct str name = str_cut(str_cut(spec, '@').head, ':').head;
    if (!name_find(name, &f.id, e)) {
        return false;
    }
    if (!spec_apply(str_from_c(faults[f.id].defaults), &f, e) || !spec_apply(spec, &f, e)) {
        return false;
    }
    *out = f;
    return true;
}

struct fault_state *sim_fault_at(struct sim *s, enum sim_fault_id id, int64_t t)
{
    if ((s->fault_mask >> id & 1) == 0) {
        return NULL;
    }
    for (uint32_t i = 0; i < s->faults_count; i++) {
        struct fault_state *f = &s->faults[i];
        if (f->f.id == id && t >= f->f.start_ns && t < f->f.end_ns) {
            return f;
        }
    }
    return NULL;
}

bool sim_fault_strikes(struct sim *s, struct fault_state *f, uint64_t number, uint64_t salt)
{
    uint64_t key = sim_mix(s->run.seed ^ 0x6661756c74ULL, (uint64_t)f->f.id << 32 | salt);
    bool hit = f->f.share >= 1 || sim_u01(key, number) < f->f.share;
    f->affected += hit;
    return hit;
}
