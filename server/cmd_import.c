/* farol import prometheus | openmetrics: samples that others have kept, of any age, into the store
 * of a farol that is stopped. The reading is engines/tsdb's; here are options, progress, sums. */
#include "base/file.h"
#include "base/num.h"
#include "server/commands_int.h"
#include "server/run_int.h"
#include "server/stored_int.h"
#include "server/text_int.h"

#include <math.h>
#include <stdio.h>

#define TEXT_BYTES_MAX (64 * 1024)

static const struct command_option options[] = {
    {"data",
     'd',
     "DIR",
     NULL,
     {"pasta do farol que recebe (o seu storage.path)",
      "folder of the farol that receives (its storage.path)"}},
    {"config",
     'c',
     "FILE",
     NULL,
     {"farol.yml desse farol: pasta, retenção e limites; sem ele nada é velho demais",
      "farol.yml of that farol: folder, retention and bounds; without it nothing is too old"}},
    {"output", 'o', "FORMAT", "text|json", {"formato do resumo", "format of the summary"}},
};

/* By enum tsdb_refusal; behind them what never reached the store. */
static const struct {
    const char *key, *text[LANGS];
} reasons[TSDB_REFUSALS + 1] = {
    [TSDB_OUT_OF_ORDER] = {"out_of_order", {"fora de ordem", "out of order"}},
    [TSDB_DUPLICATE] = {"duplicate",
                        {"com outro valor no mesmo instante", "with another value at their time"}},
    [TSDB_TOO_OLD] = {"too_old", {"de antes da retenção", "from before retention"}},
    [TSDB_TOO_NEW] = {"too_new", {"do futuro", "from the future"}},
    [TSDB_GONE] = {"series_gone", {"de série removida", "of dropped series"}},
    [TSDB_HEAD_FULL] = {"head_full", {"por falta de memória", "for lack of memory"}},
    [TSDB_REFUSALS] = {"series",
                       {"sem instante ou de série não aceita",
                        "without a time or of a series not accepted"}},
};

/* thread: the command's. */
struct import {
    const struct command_args *args;
    struct server_ticker ticker;
    struct tsdb_import sums;
    uint64_t refused[TSDB_REFUSALS];
    uint64_t refused_series; /* of samples: bad labels, no time, bounds of series */
    struct mem mem;
    bool stopped;
};

static const char *pick(const struct import *im, const char *pt, const char *en)
{
    return im->args->lang == LANG_PT ? pt : en;
}

static bool progress(void *ctx, const struct tsdb_import *so_far)
{
    struct import *im = ctx;
    if (server_ticker_due(&im->ticker)) {
        struct buf line;
        buf_init(&line, &im->mem, 1024);
        num_short(&line, im->args->lang, (double)(so_far->samples + so_far->histograms));
        buf_str_add(&line, str_from_c(pick(im, " amostras  ", " samples  ")));
        num_short(&line, im->args->lang,
                  (double)(so_far->samples + so_far->histograms) /
                      server_ticker_seconds(&im->ticker));
        BUF_LIT(&line, "/s");
        server_ticker_draw(&im->ticker, &line);
    }
    im->stopped = im->stopped || !server_ticker_go_on();
    return !im->stopped;
}

/* --- the summary --- */

static void summary_json(const struct import *im, double seconds, struct buf *out)
{
    const struct tsdb_import *s = &im->sums;
    buf_fmt(out, "{\"blocks\":%llu,\"series\":%llu,\"samples\":%llu,\"histograms\":%llu,",
            (unsigned long long)s->blocks, (unsigned long long)s->series,
            (unsigned long long)s->samples, (unsigned long long)s->histograms);
    buf_fmt(out, "\"refused\":{");
    for (int i = 0; i < TSDB_REFUSALS; i++) {
        buf_fmt(out, "\"%s\":%llu,", reasons[i].key, (unsigned long long)im->refused[i]);
    }
    buf_fmt(out, "\"series\":%llu},\"deleted\":%llu,", (unsigned long long)im->refused_series,
            (unsigned long long)s->deleted);
    buf_fmt(out, "\"chunks_damaged\":%llu,\"blocks_damaged\":%llu,\"seconds\":",
            (unsigned long long)s->chunks_damaged, (unsigned long long)s->blocks_damaged);
    buf_json_f64(out, round(seconds * 1000) / 1000);
    BUF_LIT(out, "}\n");
}

static const struct num_words words_stored = {{"amostra gravada", "sample stored"},
                                              {"amostras gravadas", "samples stored"}};
static const struct num_words words_histograms = {{"histograma nativo", "native histogram"},
                                                  {"histogramas nativos", "native histograms"}};
static const struct num_words words_refused = {{"recusada", "refused"}, {"recusadas", "refused"}};
static const struct num_words words_blocks = {
    {"bloco ou arquivo lido até o fim", "block or file read to its end"},
    {"blocos ou arquivos lidos até o fim", "blocks or files read to their end"}};
static const struct num_words words_series = {{"série encontrada", "series met"},
                                              {"séries encontradas", "series met"}};
static const struct num_words words_deleted = {
    {"amostra apagada na origem, deixada de fora", "sample deleted there, left out"},
    {"amostras apagadas na origem, deixadas de fora", "samples deleted there, left out"}};
static const struct num_words words_chunks = {{"chunk danificado", "damaged chunk"},
                                              {"chunks danificados", "damaged chunks"}};
static const struct num_words words_damaged = {
    {"bloco danificado, deixado de fora", "damaged block, left out"},
    {"blocos danificados, deixados de fora", "damaged blocks, left out"}};

static void put_refused(const struct import *im, struct buf *out)
{
    const enum lang lang = im->args->lang;
    const char *before = " (";
    num_counted(out, lang, im->sums.refused, &words_refused);
    for (int i = 0; i <= TSDB_REFUSALS; i++) {
        const uint64_t n = i < TSDB_REFUSALS ? im->refused[i] : im->refused_series;
        if (n > 0) {
            buf_str_add(out, str_from_c(before));
            num_u64(out, lang, n);
            buf_char(out, ' ');
            buf_str_add(out, str_from_c(reasons[i].text[lang]));
            before = ", ";
        }
    }
    buf_str_add(out, before[0] == ',' ? STR(")\n") : STR("\n"));
}

static void summary_text(const struct import *im, double seconds, struct buf *out)
{
    const enum lang lang = im->args->lang;
    const struct tsdb_import *s = &im->sums;
    num_counted(out, lang, s->samples, &words_stored);
    BUF_LIT(out, ", ");
    num_counted(out, lang, s->histograms, &words_histograms);
    BUF_LIT(out, ", ");
    num_f64(out, lang, seconds, 2);
    BUF_LIT(out, " s\n");
    put_refused(im, out);
    num_counted(out, lang, s->blocks, &words_blocks);
    BUF_LIT(out, ", ");
    num_counted(out, lang, s->series, &words_series);
    BUF_LIT(out, "\n");
    if (s->deleted > 0) {
        num_counted(out, lang, s->deleted, &words_deleted);
        BUF_LIT(out, "\n");
    }
    if (s->chunks_damaged + s->blocks_damaged > 0) {
        num_counted(out, lang, s->chunks_damaged, &words_chunks);
        BUF_LIT(out, ", ");
        num_counted(out, lang, s->blocks_damaged, &words_damaged);
        BUF_LIT(out, "\n");
    }
}

static int finish(struct import *im)
{
    const char *format = command_value(im->args, "output");
    const double seconds = server_ticker_seconds(&im->ticker);
    struct buf out;
    server_ticker_wipe(&im->ticker);
    buf_init(&out, &im->mem, TEXT_BYTES_MAX);
    if (format && str_eq(str_from_c(format), STR("json"))) {
        summary_json(im, seconds, &out);
    } else {
        summary_text(im, seconds, &out);
    }
    const int put = server_put(im->args, &out);
    const bool whole =
        im->sums.refused + im->sums.chunks_damaged + im->sums.blocks_damaged == 0 && !im->stopped;
    return whole ? put : EXIT_FAILED;
}

/* --- the work --- */

typedef bool (*importer)(struct tsdb *db, const struct os *os, const char *path,
                         bool (*progress)(void *ctx, const struct tsdb_import *so_far),
                         void *progress_ctx, struct tsdb_import *out, struct err *e);

/* Refusals of this run by reason: the store counts them, from its opening on. */
static void refusals_read(struct import *im, struct tsdb *db, const struct tsdb_stats *before)
{
    struct tsdb_stats s;
    uint64_t named = 0;
    tsdb_stats(db, &s);
    for (int i = 0; i < TSDB_REFUSALS; i++) {
        im->refused[i] = s.refused[i] - before->refused[i];
        named += im->refused[i];
    }
    im->refused_series = im->sums.refused > named ? im->sums.refused - named : 0;
}

static int import_into(struct import *im, const struct server_config *c, bool from_file,
                       importer take)
{
    struct tsdb *db = NULL;
    struct tsdb_stats before;
    struct err e = {0};
    char folder[PATH_BYTES_MAX];
    if (!path_join(folder, sizeof folder, c->storage.dir, SERVER_STORED_FOLDER, &e) ||
        !dir_make(im->args->os, c->storage.dir, &e) ||
        !server_stored_open(im->args, folder, from_file ? &c->metrics : NULL, &db, &e)) {
        const int code = server_fail(im->args, &e, EXIT_FAILED);
        if (e.code == ERR_BUSY) {
            TELL(im->args->lang, IMPORT_HELD, str_from_c(c->storage.dir));
        }
        return code;
    }
    tsdb_stats(db, &before);
    const bool ok = take(db, im->args->os, im->args->operands[0], progress, im, &im->sums, &e);
    refusals_read(im, db, &before);
    tsdb_close(db);
    server_ticker_wipe(&im->ticker);
    if (!ok && im->stopped) {
        TELL(im->args->lang, IMPORT_STOPPED, STR(""));
    } else if (!ok) {
        e.where = e.line > 0 ? im->args->operands[0] : e.where;
        (void)server_fail(im->args, &e, EXIT_FAILED);
    }
    const bool began = ok || im->sums.series > 0;
    const int code = began ? finish(im) : EXIT_FAILED;
    return ok ? code : EXIT_FAILED;
}

static int run_import(const struct command_args *a, importer take)
{
    struct import im = {.args = a};
    struct server_setup setup = {0};
    const char *path = command_value(a, "config");
    const char *data = command_value(a, "data");
    if (!path && !data) {
        TELL(a->lang, STORE_WHICH, STR(""));
        return EXIT_USAGE;
    }
    mem_init(&im.mem, 0);
    int code = server_setup_file(&setup, a, path);
    code = code == EXIT_OK ? server_setup_override(&setup, a, NULL, data) : code;
    if (code == EXIT_OK) {
        server_ticker_start(&im.ticker, a);
        code = import_into(&im, setup.config, path != NULL, take);
    }
    server_setup_release(&setup);
    ASSERT(im.mem.bytes == 0);
    return code;
}

static int run_prometheus(const struct command_args *a)
{
    return run_import(a, tsdb_import_prometheus);
}

static int run_openmetrics(const struct command_args *a)
{
    return run_import(a, tsdb_import_openmetrics);
}

#define ABOUT_PT                                                                     \
    "Amostras de qualquer idade, menos as que a retenção de --config não guarda " \
    "mais. Repetir não muda nada: as mesmas amostras são reconhecidas. Saída: 0 " \
    "tudo gravado, 1 algo recusado ou danificado (o resumo diz quanto e por quê)."
#define ABOUT_EN                                                                \
    "Samples of any age, except those that the retention of --config keeps no " \
    "more. Repeating changes nothing: the same samples are known. Exit: 0 all " \
    "stored, 1 something refused or damaged (the summary says how much and why)."

const struct command command_import_prometheus = {
    .name = "import prometheus",
    .operands = "FOLDER",
    .summary = {"traz os dados de um Prometheus", "bring in the data of a Prometheus"},
    .about = {"Lê a pasta de dados de um Prometheus 2 ou 3 que não esteja sendo escrita (um "
              "snapshot, ou o servidor parado): blocos, histogramas nativos e o que está no WAL, "
              "sem o que foi apagado lá. O farol que recebe precisa estar parado.\n\n" ABOUT_PT,
              "Reads the data folder of a Prometheus 2 or 3 that nobody writes to (a snapshot, or "
              "the server stopped): blocks, native histograms and what its WAL holds, without what "
              "was deleted there. The farol that receives must be stopped.\n\n" ABOUT_EN},
    .examples = {"  farol import prometheus /var/lib/prometheus/metrics2 -c farol.yml\n"
                 "  farol import prometheus data/snapshots/20261123T120000Z-1 --data farol-data",
                 "  farol import prometheus /var/lib/prometheus/metrics2 -c farol.yml\n"
                 "  farol import prometheus data/snapshots/20261123T120000Z-1 --data farol-data"},
    .options = options,
    .options_count = ARRAY_LEN(options),
    .run = run_prometheus,
};

const struct command command_import_openmetrics = {
    .name = "import openmetrics",
    .operands = "FILE",
    .summary = {"traz amostras de um arquivo OpenMetrics",
                "bring in samples of an OpenMetrics file"},
    .about = {"Lê um arquivo de texto OpenMetrics 1.0 cujas amostras têm instante, como os que o "
              "promtool lê em create-blocks-from. Um erro de sintaxe diz a linha; o que veio antes "
              "fica gravado. O farol que recebe precisa estar parado.\n\n" ABOUT_PT,
              "Reads a file of OpenMetrics 1.0 text whose samples have times, such as promtool "
              "reads in create-blocks-from. A mistake in it is told with its line; what came "
              "before stays stored. The farol that receives must be stopped.\n\n" ABOUT_EN},
    .examples = {"  farol import openmetrics historico.om --data farol-data",
                 "  farol import openmetrics history.om --data farol-data"},
    .options = options,
    .options_count = ARRAY_LEN(options),
    .run = run_openmetrics,
};
