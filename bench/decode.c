/* Lines a second of the NDJSON decoder alone, beside the JSON parser alone, on a file.
 *
 *     bench_decode FILE [MAPPING.yml] [ROUNDS]
 *
 * The two contenders take turns in one run on the same padded lines in memory, so that a busy
 * machine slows both; figures are the best and the median round of each. The decoder's figure
 * contains the parser's. MAPPING.yml is an `ingest:` section (keys as in farol.yml); without it the
 * built-in mapping. */
#include "base/base.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/os.h"
#include "codec/json.h"
#include "ingest/ndjson/ndjson.h"

#include <stdio.h>
#include <stdlib.h>

#define FILE_BYTES_MAX    (1ull << 30)
#define PAYLOAD_BYTES_MAX (1ull << 30)
#define BATCH_LINES       5000
#define ROUNDS_MAX        99
#define DEFAULT_ROUNDS    7

struct input {
    struct buf file, payload;
    uint64_t lines;
    struct ndjson_config config;
};

static struct str next_line(struct str *rest)
{
    struct str_cut c = str_cut(*rest, '\n');
    *rest = c.tail;
    return c.head;
}

static double seconds_of_parser(struct input *in, struct json_parser *p, uint64_t *good)
{
    struct json_doc doc;
    int64_t start = os_mono_ns(os_real());
    *good = 0;
    for (struct str rest = str_of(in->file.p, in->file.n - JSON_PADDING); rest.n > 0;) {
        *good += json_parse(p, next_line(&rest), true, &doc, NULL) ? 1 : 0;
    }
    return (double)(os_mono_ns(os_real()) - start) / 1e9;
}

static double seconds_of_decoder(struct input *in, struct ndjson_decoder *d, uint64_t *good)
{
    int64_t start = os_mono_ns(os_real());
    uint64_t lines = 0;
    struct err e;
    *good = 0;
    for (struct str rest = str_of(in->file.p, in->file.n - JSON_PADDING); rest.n > 0; lines++) {
        if (lines % BATCH_LINES == 0) {
            buf_reset(&in->payload);
            ndjson_decoder_begin(d);
        }
        if (ndjson_decode_line(d, next_line(&rest), true, &in->payload, &e)) {
            *good += 1;
        } else if (*good == 0 && lines == 0) {
            fprintf(stderr, "first line: %s (column %u)\n", e.msg, e.col);
        }
    }
    return (double)(os_mono_ns(os_real()) - start) / 1e9;
}

static int by_value(const void *a, const void *b)
{
    const double *x = a;
    const double *y = b;
    return *x < *y ? -1 : *x > *y;
}

static void report(const char *what, const struct input *in, uint64_t good, double *s, int rounds)
{
    qsort(s, (size_t)rounds, sizeof *s, by_value);
    double lines = (double)in->lines;
    printf("%-12s %8llu of %llu lines good   best %7.0f ns/line  %6.0f klines/s  %6.0f MB/s   "
           "median %7.0f ns/line\n",
           what, (unsigned long long)good, (unsigned long long)in->lines, s[0] / lines * 1e9,
           lines / s[0] / 1e3, (double)in->file.n / s[0] / 1e6, s[rounds / 2] / lines * 1e9);
}

static bool read_input(struct input *in, const char *path, const char *mapping, struct mem *m,
                       struct arena *a, struct buf *yaml_text, struct err *e)
{
    static const char padding[JSON_PADDING] = {0};
    struct yaml_node *section = NULL;
    buf_init(&in->file, m, FILE_BYTES_MAX);
    buf_init(&in->payload, m, PAYLOAD_BYTES_MAX);
    if (!file_read(os_real(), path, &in->file, e)) {
        return false;
    }
    buf_add(&in->file, padding, sizeof padding);
    if (!buf_ok(&in->file, e)) {
        return false;
    }
    for (struct str rest = str_of(in->file.p, in->file.n - JSON_PADDING); rest.n > 0;) {
        next_line(&rest);
        in->lines++;
    }
    if (mapping != NULL && (!file_read(os_real(), mapping, yaml_text, e) ||
                            !yaml_parse(buf_str(yaml_text), mapping, a, &section, e))) {
        return false;
    }
    struct str channel[] = {STR("channel")};
    struct conf_strs dims = {channel, ARRAY_LEN(channel)};
    return ndjson_config_read(section, &dims, a, &in->config, e);
}

int main(int argc, char **argv)
{
    struct mem m;
    struct arena a;
    struct buf yaml_text;
    struct err e = {0};
    struct input in = {0};
    uint64_t rounds = DEFAULT_ROUNDS;
    if (argc < 2 || (argc > 3 && !str_to_u64(str_from_c(argv[3]), &rounds)) || rounds < 1 ||
        rounds > ROUNDS_MAX) {
        fprintf(stderr, "usage: %s FILE [MAPPING.yml] [ROUNDS]\n", argv[0]);
        return 2;
    }
    mem_init(&m, 0);
    arena_init(&a, &m, 16 << 20);
    buf_init(&yaml_text, &m, 1 << 20);
    if (!read_input(&in, argv[1], argc > 2 ? argv[2] : NULL, &m, &a, &yaml_text, &e)) {
        char text[512];
        err_format(&e, text, sizeof text);
        fprintf(stderr, "%s\n", text);
        return 1;
    }
    struct json_parser *p = json_parser_new(&m, 4096, 1 << 20);
    struct ndjson_decoder *d = ndjson_decoder_new(&in.config, &m);
    ASSERT(p != NULL);
    ASSERT(d != NULL);
    double parser[ROUNDS_MAX];
    double decoder[ROUNDS_MAX];
    uint64_t parsed = 0;
    uint64_t decoded = 0;
    for (uint64_t i = 0; i < rounds; i++) {
        parser[i] = seconds_of_parser(&in, p, &parsed);
        decoder[i] = seconds_of_decoder(&in, d, &decoded);
    }
    report("json_parse", &in, parsed, parser, (int)rounds);
    report("decode_line", &in, decoded, decoder, (int)rounds);
    ndjson_decoder_free(d);
    json_parser_free(p);
    buf_release(&in.file);
    buf_release(&in.payload);
    buf_release(&yaml_text);
    arena_release(&a);
    return 0;
}
