/* The parameters of /api/v1/rules: what reaches the page, and what is refused. */
#include "server/api/prom/prom_testing_int.h"

static void put_list(struct buf *out, const char *name, const struct str *v, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        buf_fmt(out, " %s=%.*s", name, STR_FMT(v[i]));
    }
}

/* The filter as a JSON text. */
static bool echo(void *ctx, const struct rules_filter *f, struct buf *out, struct err *e)
{
    (void)ctx;
    if (str_eq(f->group_token, STR("old"))) {
        return err_set(e, ERR_INPUT, "no such token");
    }
    buf_fmt(out, "\"type=%.*s", STR_FMT(f->type));
    put_list(out, "name", f->names, f->names_n);
    put_list(out, "group", f->groups, f->groups_n);
    put_list(out, "file", f->files, f->files_n);
    for (uint32_t i = 0; i < f->matches_n; i++) {
        for (uint32_t k = 0; k < f->matches[i].n; k++) {
            buf_fmt(out, " %u:%.*s/%.*s", i, STR_FMT(f->matches[i].m[k].name),
                    STR_FMT(f->matches[i].m[k].value));
        }
    }
    buf_fmt(out, " exclude=%d limit=%u token=%.*s\"", f->exclude_alerts, f->group_limit,
            STR_FMT(f->group_token));
    return true;
}

#define LIMIT(text)                                                                   \
    "invalid parameter \\\"group_limit\\\": group_limit needs to be a valid number: " \
    "strconv.ParseInt: parsing \\\"" text

TEST(rules_parameters_reach_the_page)
{
    static const struct {
        const char *path;
        int status;
        const char *answer;
    } v[] = {
        {"/api/v1/rules", 200, OK("\"type= exclude=0 limit=0 token=\"")},
        {"/api/v1/rules?type=ALERT&exclude_alerts=true", 200,
         OK("\"type=alert exclude=1 limit=0 token=\"")},
        {"/api/v1/rules?rule_name[]=a&rule_name[]=b&rule_group[]=g&file[]=x&file[]=y&type=record",
         200, OK("\"type=record name=a name=b group=g file=x file=y exclude=0 limit=0 token=\"")},
        {"/api/v1/rules?match[]={a=%22b%22,c=%22d%22}&match[]={e=%22f%22}", 200,
         OK("\"type= 0:a/b 0:c/d 1:e/f exclude=0 limit=0 token=\"")},
        {"/api/v1/rules?group_limit=7&group_next_token=t", 200,
         OK("\"type= exclude=0 limit=7 token=t\"")},
        {"/api/v1/rules?group_limit=7&group_next_token=old", 400, BAD("no such token")},
        {"/api/v1/rules?group_next_token=t", 400,
         BAD("invalid parameter \\\"group_next_token\\\": group_limit needs to be present in order "
             "to paginate over the groups")},
        {"/api/v1/rules?group_limit=0", 400,
         BAD("invalid parameter \\\"group_limit\\\": group_limit needs to be greater than 0")},
        {"/api/v1/rules?group_limit=-3", 400,
         BAD("invalid parameter \\\"group_limit\\\": group_limit needs to be greater than 0")},
        {"/api/v1/rules?group_limit=x", 400, BAD(LIMIT("x\\\": invalid syntax"))},
        {"/api/v1/rules?group_limit=2147483648", 400,
         BAD(LIMIT("2147483648\\\": value out of range"))},
        {"/api/v1/rules?match[]={a=~%22.*%22}", 400,
         BAD("match[] must contain at least one non-empty matcher")},
        {"/api/v1/rules?match[]={", 400,
         BAD("1:2: parse error: unexpected end of input inside braces")},
    };
    struct world w;
    world_open(&w);
    w.deps.pages = (struct prom_pages){.rules = echo};
    world_serve(&w);
    for (size_t i = 0; i < ARRAY_LEN(v); i++) {
        expect(&w, "GET", v[i].path, "", v[i].status, v[i].answer);
    }
    world_close(&w);
}
