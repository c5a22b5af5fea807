/* farol backup: a copy of all samples that opens as a store of its own, and is read to its end
 * before anybody trusts it.
 *
 *     a running farol:  POST admin/tsdb/snapshot --> its folder/snapshots/NAME --> DIR/metrics
 *     a stopped one:    storage.path/metrics                                   --> DIR/metrics
 *
 * Both steps are tsdb_snapshot: files are shared where the file system can, else copied. */
#include "base/clock.h"
#include "base/file.h"
#include "base/num.h"
#include "net/http_client.h"
#include "server/client_int.h"
#include "server/commands_int.h"
#include "server/run_int.h"
#include "server/stored_int.h"
#include "server/text_int.h"

#include <stdio.h>

#define TIMEOUT_MS       3600000 /* the server writes what memory holds before it answers */
#define URL_BYTES_MAX    512
#define TOKENS_MAX       65536
#define ANSWER_BYTES_MAX ((size_t)8 << 20)
#define TEXT_BYTES_MAX   (64 * 1024)

static const struct command_option options[] = {
    {"data",
     'd',
     "DIR",
     NULL,
     {"copia a pasta de um farol parado (o seu storage.path)",
      "copy the folder of a farol that is stopped (its storage.path)"}},
    {"config",
     'c',
     "FILE",
     NULL,
     {"o mesmo, com a pasta que esse farol.yml diz",
      "the same, with the folder of that farol.yml"}},
    {"output", 'o', "FORMAT", "text|json", {"formato do resumo", "format of the summary"}},
};

/* thread: the command's. */
struct backup {
    const struct command_args *args;
    struct server_ticker ticker;
    struct mem mem;
    struct http_client *http;
    struct json_parser *json;
    bool stopped;
    char from[PATH_BYTES_MAX]; /* a folder with a store */
    char to[PATH_BYTES_MAX];
};

/* --- asking a running farol --- */

/* The text at key, or at data.key. Borrows the parser. */
static struct str member(const struct json_doc *d, const char *key)
{
    for (uint32_t i = 1; i < d->tokens_count; i++) {
        const struct json_token *t = &d->tokens[i];
        const struct json_token *up = &d->tokens[t->parent];
        if (t->kind == JSON_STR && str_eq(t->key, str_from_c(key)) &&
            (t->parent == 0 || (up->parent == 0 && str_eq(up->key, STR("data"))))) {
            return t->v.str;
        }
    }
    return STR("");
}

/* Asks for path and copies the text at key into out. EXIT_OK, or said what is wrong. */
static int ask(struct backup *b, const char *method, const char *path, const char *key, char *out,
               size_t cap)
{
    const struct command_args *a = b->args;
    char url[URL_BYTES_MAX];
    struct http_answer answer;
    struct json_doc doc;
    struct err e = {0};
    struct str base = str_from_c(a->url);
    while (str_ends(base, STR("/"))) {
        base.n--;
    }
    const int n = snprintf(url, sizeof url, "%.*s/api/v1/%s", STR_FMT(base), path);
    if (n < 0 || (size_t)n >= sizeof url) {
        (void)err_set(&e, ERR_INPUT, "the address is longer than %zu bytes", sizeof url);
        return server_fail(a, &e, EXIT_USAGE);
    }
    if (!http_client_do(b->http, method, url, NULL, STR(""), ANSWER_BYTES_MAX, &answer, &e)) {
        TELL(a->lang, CANNOT_CONNECT, str_from_c(a->url), str_from_c(e.msg));
        return EXIT_NO_CONNECTION;
    }
    int code = EXIT_OK;
    struct str text = STR("");
    if (!json_parse(b->json, str_trim(buf_str(&answer.body)), false, &doc, &e)) {
        TELL(a->lang, BAD_ANSWER, str_from_c(a->url), str_from_c(e.msg));
        code = EXIT_NO_CONNECTION;
    } else if (answer.status != 200) {
        text = member(&doc, "error");
        TELL(a->lang, BACKUP_REFUSED, text);
        if (str_eq(text, STR("admin APIs disabled"))) {
            TELL(a->lang, BACKUP_ADMIN, STR(""));
        }
        code = EXIT_FAILED;
    } else {
        text = member(&doc, key);
        if (text.n == 0 || text.n >= cap || memchr(text.p, 0, text.n)) {
            TELL(a->lang, BAD_ANSWER, str_from_c(a->url), str_from_c(key));
            code = EXIT_NO_CONNECTION;
        } else {
            memcpy(out, text.p, text.n);
            out[text.n] = '\0';
        }
    }
    buf_release(&answer.body);
    return code;
}

/* Sets b->from to a snapshot that the server has just made. */
static int from_server(struct backup *b)
{
    char name[256], store[PATH_BYTES_MAX], cwd[PATH_BYTES_MAX], path[PATH_BYTES_MAX];
    char snapshots[PATH_BYTES_MAX];
    struct err e = {0};
    b->http = http_client_new(&b->mem, TIMEOUT_MS, TIMEOUT_MS);
    b->json = json_parser_new(&b->mem, TOKENS_MAX, ANSWER_BYTES_MAX);
    if (!b->http || !b->json) {
        (void)err_set(&e, ERR_NOMEM, "no memory for the HTTP client");
        return server_fail(b->args, &e, EXIT_FAILED);
    }
    int code = ask(b, "GET", "status/flags", "storage.tsdb.path", store, sizeof store);
    code = code == EXIT_OK ? ask(b, "GET", "status/runtimeinfo", "CWD", cwd, sizeof cwd) : code;
    code =
        code == EXIT_OK ? ask(b, "POST", "admin/tsdb/snapshot", "name", name, sizeof name) : code;
    if (code != EXIT_OK) {
        return code;
    }
    if (str_contains(str_from_c(name), STR("/")) || name[0] == '.') {
        TELL(b->args->lang, BAD_ANSWER, str_from_c(b->args->url), str_from_c(name));
        return EXIT_NO_CONNECTION;
    }
    if (store[0] == '/') {
        memcpy(path, store, sizeof path);
    } else if (!path_join(path, sizeof path, cwd, store, &e)) {
        return server_fail(b->args, &e, EXIT_FAILED);
    }
    if (!path_join(snapshots, sizeof snapshots, path, "snapshots", &e) ||
        !path_join(b->from, sizeof b->from, snapshots, name, &e)) {
        return server_fail(b->args, &e, EXIT_FAILED);
    }
    return EXIT_OK;
}

/* --- folders --- */

static void entry_found(void *arg, const char *name)
{
    (void)name;
    *(bool *)arg = true;
}

static bool is_there(const struct os *os, const char *path)
{
    bool any = false;
    return os->list(os->ctx, path, entry_found, &any) == 0 && any;
}

struct folder {
    const struct os *os;
    const char *path, *prefix, *suffix;
};

static void entry_remove(void *arg, const char *name)
{
    const struct folder *f = arg;
    char path[PATH_BYTES_MAX];
    if (str_starts(str_from_c(name), str_from_c(f->prefix)) &&
        str_ends(str_from_c(name), str_from_c(f->suffix)) &&
        path_join(path, sizeof path, f->path, name, NULL)) {
        (void)f->os->unlink(f->os->ctx, path);
    }
}

/* Removes the store in a folder: only files that are a store's, because a server told us its name.
 * Best effort. */
static void store_remove(const struct os *os, const char *store)
{
    static const struct {
        const char *folder, *prefix, *suffix;
    } parts[] = {{"blocks", "", ".blk"}, {"log", "", ".log"},  {"", "series-", ".bin"},
                 {"", "tombs", ".bin"},  {"", "lock", "lock"}, {"", "blocks", "blocks"},
                 {"", "log", "log"}};
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        char path[PATH_BYTES_MAX];
        struct folder f = {os, store, parts[i].prefix, parts[i].suffix};
        if (parts[i].folder[0] && path_join(path, sizeof path, store, parts[i].folder, NULL)) {
            f.path = path;
        }
        (void)os->list(os->ctx, f.path, entry_remove, &f);
    }
    (void)os->unlink(os->ctx, store);
}

/* --- the copy --- */

static int copy_make(struct backup *b)
{
    const struct command_args *a = b->args;
    struct tsdb *db = NULL;
    struct err e = {0};
    if (!is_there(a->os, b->from)) {
        TELL(a->lang, BACKUP_NO_STORE, str_from_c(b->from));
        return EXIT_FAILED;
    }
    if (!dir_make(a->os, a->operands[0], &e)) {
        return server_fail(a, &e, EXIT_FAILED);
    }
    if (!server_stored_open(a, b->from, NULL, &db, &e)) {
        const int code = server_fail(a, &e, EXIT_FAILED);
        if (e.code == ERR_BUSY) {
            TELL(a->lang, BACKUP_HELD, str_from_c(b->from));
        }
        return code;
    }
    const bool ok = tsdb_snapshot(db, b->to, &e);
    tsdb_close(db);
    return ok ? EXIT_OK : server_fail(a, &e, EXIT_FAILED);
}

static bool progress(void *ctx, double share)
{
    struct backup *b = ctx;
    if (server_ticker_due(&b->ticker)) {
        struct buf line;
        buf_init(&line, &b->mem, 1024);
        SAY(&line, b->args->lang, BACKUP_READING, STR(""));
        num_percent(&line, b->args->lang, share, 0);
        server_ticker_draw(&b->ticker, &line);
    }
    b->stopped = b->stopped || !server_ticker_go_on();
    return !b->stopped;
}

static void summary_json(const struct backup *b, const struct server_stored_sums *s,
                         struct buf *out)
{
    BUF_LIT(out, "{\"folder\":");
    buf_json_str(out, str_from_c(b->to));
    buf_fmt(out, ",\"series\":%llu,\"samples\":%llu,\"histograms\":%llu,\"blocks\":%llu,",
            (unsigned long long)s->series, (unsigned long long)s->samples,
            (unsigned long long)s->histograms, (unsigned long long)s->blocks);
    buf_fmt(out, "\"bytes\":%llu,\"damaged\":%llu", (unsigned long long)s->block_bytes,
            (unsigned long long)s->damaged);
    if (s->min_ms <= s->max_ms) {
        BUF_LIT(out, ",\"from\":\"");
        time_format(out, ns_from_ms(s->min_ms));
        BUF_LIT(out, "\",\"to\":\"");
        time_format(out, ns_from_ms(s->max_ms));
        BUF_LIT(out, "\"");
    }
    BUF_LIT(out, "}\n");
}

static const struct num_words words_series = {{"série", "series"}, {"séries", "series"}};
static const struct num_words words_samples = {{"amostra", "sample"}, {"amostras", "samples"}};
static const struct num_words words_histograms = {{"histograma nativo", "native histogram"},
                                                  {"histogramas nativos", "native histograms"}};

static void summary_text(const struct backup *b, const struct server_stored_sums *s,
                         struct buf *out)
{
    const enum lang lang = b->args->lang;
    buf_fmt(out, "%s: ", b->to);
    num_counted(out, lang, s->series, &words_series);
    BUF_LIT(out, ", ");
    num_counted(out, lang, s->samples, &words_samples);
    BUF_LIT(out, ", ");
    num_counted(out, lang, s->histograms, &words_histograms);
    if (s->min_ms <= s->max_ms) {
        BUF_LIT(out, ", ");
        time_format(out, ns_from_ms(s->min_ms));
        BUF_LIT(out, " .. ");
        time_format(out, ns_from_ms(s->max_ms));
    }
    BUF_LIT(out, ", ");
    num_u64(out, lang, s->block_bytes);
    SAY(out, lang, BACKUP_READ, STR(""));
}

/* Opens the copy and reads all of it. */
static int copy_check(struct backup *b)
{
    const struct command_args *a = b->args;
    const char *format = command_value(a, "output");
    struct server_stored_sums s;
    struct tsdb *db = NULL;
    struct err e = {0};
    if (!server_stored_open(a, b->to, NULL, &db, &e)) {
        return server_fail(a, &e, EXIT_FAILED);
    }
    const bool ok = server_stored_read(db, progress, b, &s, &e);
    tsdb_close(db);
    server_ticker_wipe(&b->ticker);
    if (!ok && b->stopped) {
        TELL(a->lang, BACKUP_STOPPED, str_from_c(b->to));
        return EXIT_FAILED;
    }
    if (!ok) {
        return server_fail(a, &e, EXIT_FAILED);
    }
    struct buf out;
    buf_init(&out, &b->mem, TEXT_BYTES_MAX);
    if (format && str_eq(str_from_c(format), STR("json"))) {
        summary_json(b, &s, &out);
    } else {
        summary_text(b, &s, &out);
    }
    const int code = server_put(a, &out);
    if (s.damaged > 0) {
        const struct num_text n = num_text_u64(a->lang, s.damaged);
        TELL(a->lang, BACKUP_DAMAGED, str_from_c(n.text));
        return EXIT_FAILED;
    }
    return code;
}

static int from_folder(struct backup *b, const char *config, const char *data)
{
    struct server_setup setup = {0};
    struct err e = {0};
    int code = server_setup_file(&setup, b->args, config);
    code = code == EXIT_OK ? server_setup_override(&setup, b->args, NULL, data) : code;
    if (code == EXIT_OK &&
        !path_join(b->from, sizeof b->from, setup.config->storage.dir, SERVER_STORED_FOLDER, &e)) {
        code = server_fail(b->args, &e, EXIT_FAILED);
    }
    server_setup_release(&setup);
    return code;
}

/* Sets b->to; before a server is asked for what would then be left lying there. */
static int target_of(struct backup *b)
{
    struct err e = {0};
    if (!path_join(b->to, sizeof b->to, b->args->operands[0], SERVER_STORED_FOLDER, &e)) {
        return server_fail(b->args, &e, EXIT_FAILED);
    }
    if (is_there(b->args->os, b->to)) {
        TELL(b->args->lang, BACKUP_THERE, str_from_c(b->to));
        return EXIT_FAILED;
    }
    return EXIT_OK;
}

static int run_backup(const struct command_args *a)
{
    const char *config = command_value(a, "config");
    const char *data = command_value(a, "data");
    const bool stopped = config || data;
    struct mem mem;
    mem_init(&mem, 0);
    struct backup *b = mem_take(&mem, sizeof *b); /* paths are large for a stack */
    struct err e = {0};
    if (!b) {
        (void)err_set(&e, ERR_NOMEM, "no memory for a backup");
        return server_fail(a, &e, EXIT_FAILED);
    }
    b->args = a;
    mem_init(&b->mem, 0);
    server_ticker_start(&b->ticker, a);
    int code = target_of(b);
    code = code == EXIT_OK ? (stopped ? from_folder(b, config, data) : from_server(b)) : code;
    code = code == EXIT_OK ? copy_make(b) : code;
    if (code == EXIT_OK && !stopped) {
        store_remove(a->os, b->from); /* what the server made for us */
    }
    code = code == EXIT_OK ? copy_check(b) : code;
    if (b->json) {
        json_parser_free(b->json);
    }
    http_client_free(b->http);
    ASSERT(b->mem.bytes == 0);
    mem_give(&mem, b, sizeof *b);
    return code;
}

const struct command command_backup = {
    .name = "backup",
    .operands = "DIR",
    .summary = {"copia as séries e confere a cópia", "copy the series and check the copy"},
    .about =
        {"Faz em DIR/metrics uma cópia de todas as amostras, abre a cópia e a lê até o fim. Sem "
         "--data, pede a cópia ao farol de --url, que continua atendendo (precisa de query.admin: "
         "true, e este comando tem que rodar na máquina dele, podendo ler a pasta); com --data ou "
         "--config, copia um farol parado.\n\n"
         "No mesmo sistema de arquivos os arquivos são compartilhados (hard links) e a cópia quase "
         "não ocupa espaço: leve DIR para outro disco se ela deve sobreviver a este. Exemplars "
         "ficam só na memória e não são copiados. Para restaurar, ponha DIR/metrics em "
         "storage.path/metrics de um farol parado.",
         "Makes a copy of all samples in DIR/metrics, opens the copy and reads it to its end. "
         "Without --data it asks the farol at --url, which goes on serving (it needs query.admin: "
         "true, and this command must run on its machine and be able to read its folder); with "
         "--data or --config it copies a farol that is stopped.\n\n"
         "On the same file system files are shared (hard links) and the copy takes almost no "
         "space: take DIR to another disk if it has to outlive this one. Exemplars are not copied. "
         "To restore, put DIR/metrics at storage.path/metrics of a farol that is stopped."},
    .examples = {"  farol backup copia-1123\n"
                 "  farol backup copia-1123 --data farol-data   # o farol está parado",
                 "  farol backup copy-1123\n"
                 "  farol backup copy-1123 --data farol-data   # the farol is stopped"},
    .options = options,
    .options_count = ARRAY_LEN(options),
    .run = run_backup,
};
