/* Templates: what Go's text/template and Prometheus' functions give, and the words of errors. */
#include "engines/rules/rules.h"

#include "base/test.h"

#include <math.h>

struct row {
    const char *text, *want;
};

static const struct label labels[] = {{STR_INIT("instance"), STR_INIT("a.b.c:90")},
                                      {STR_INIT("job"), STR_INIT("pix")}};
static const struct label external[] = {{STR_INIT("dc"), STR_INIT("sp")}};

static void expand(const char *text, double value, struct mem *m, struct buf *out)
{
    struct arena a;
    arena_init(&a, m, 1U << 24);
    const struct rules_template_data d = {.labels = {labels, 2},
                                          .external_labels = {external, 1},
                                          .value = value,
                                          .external_url = STR("http://h:1/p?x"),
                                          .t_ms = 1500};
    buf_reset(out);
    rules_template_expand(STR("__alert_A"), str_from_c(text), &d, &a, out);
    arena_release(&a);
}

static void check_rows(const struct row *rows, size_t n, double value)
{
    struct mem m;
    struct buf out;
    mem_init(&m, 0);
    buf_init(&out, &m, 1U << 20);
    for (size_t i = 0; i < n; i++) {
        expand(rows[i].text, value, &m, &out);
        if (!str_eq(buf_str(&out), str_from_c(rows[i].want))) {
            print_error("template %s\n", rows[i].text);
        }
        assert_str(buf_str(&out), str_from_c(rows[i].want));
    }
    buf_release(&out);
    assert_int_equal(m.bytes, 0);
}

TEST(template_data_of_a_rule)
{
    static const struct row rows[] = {
        {"plain", "plain"},
        {"{{ $labels.job }}/{{ .Labels.job }}/{{ $.Labels.job }}", "pix/pix/pix"},
        {"{{ $labels.absent }}|", "|"},
        {"{{ $value }} {{ .Value }}", "0.25 0.25"},
        {"{{ $externalLabels.dc }} {{ $externalURL }} {{ externalURL }}",
         "sp http://h:1/p?x http://h:1/p?x"},
        {"{{ $labels }}", "map[instance:a.b.c:90 job:pix]"},
        {"{{ pathPrefix }} {{ now }}", "/p 1.5"},
    };
    check_rows(rows, ARRAY_LEN(rows), 0.25);
}

TEST(template_control)
{
    static const struct row rows[] = {
        {"{{ if eq $labels.job \"pix\" }}y{{ else }}n{{ end }}", "y"},
        {"{{ if 0 }}a{{ else if \"\" }}b{{ else if 1.5 }}c{{ else }}d{{ end }}", "c"},
        {"{{ range $k, $v := $labels }}{{ $k }}={{ $v }};{{ end }}", "instance=a.b.c:90;job=pix;"},
        {"{{ range args 1 2 3 }}{{ if eq . 2 }}{{ continue }}{{ end }}{{ . }}{{ end }}", "13"},
        {"{{ range args 1 2 3 }}{{ if eq . 2 }}{{ break }}{{ end }}{{ . }}{{ end }}", "1"},
        {"{{ range args }}x{{ else }}none{{ end }}", "none"},
        {"{{ range 3 }}{{ . }}{{ end }}", "012"},
        {"{{ with $labels.job }}[{{ . }}]{{ end }}{{ with \"\" }}x{{ else }}e{{ end }}", "[pix]e"},
        {"{{ define \"t\" }}<{{ .arg0 }}{{ .arg1 }}>{{ end }}{{ template \"t\" (args 1 \"b\") }}",
         "<1b>"},
        {"{{ block \"b\" 7 }}{{ . }}!{{ end }}", "7!"},
        {"{{ $x := 1 }}{{ if true }}{{ $x = 2 }}{{ $y := 3 }}{{ $y }}{{ end }}{{ $x }}", "32"},
        {"a  {{- 1 -}}  b {{- /* c */ -}} d", "a1bd"},
        {"{{/* only */}}x", "x"},
        {"{{ \"a\\tb\\u00e9\" }}{{ `r\\n` }}{{ 'a' }}", "a\tb\xc3\xa9r\\n97"},
    };
    check_rows(rows, ARRAY_LEN(rows), 1);
}

TEST(template_functions_of_go)
{
    static const struct row rows[] = {
        {"{{ printf \"%.2f|%5d|%-4s|%q|%x|%05.1f|%+d|%t|%%\" 1.005 3 \"a\" \"b\" 255 2.25 4 true "
         "}}",
         "1.00|    3|a   |\"b\"|ff|002.2|+4|true|%"},
        {"{{ printf \"%d %s\" 1.5 }}", "%!d(float64=1.5) %!s(MISSING)"},
        {"{{ printf \"%v\" 1 2 }}", "1%!(EXTRA int=2)"},
        {"{{ printf \"%v %g %e %T\" 1e21 0.5 1.0 1.0 }}", "1e+21 0.5 1.000000e+00 float64"},
        {"{{ print 1 2 \"x\" 3 }}|{{ println 1 \"a\" }}", "1 2x3|1 a\n"},
        {"{{ len \"abc\" }}{{ len $labels }}{{ index $labels \"job\" }}{{ slice \"abcd\" 1 3 }}",
         "32pixbc"},
        {"{{ and 1 0 2 }}{{ or 0 \"x\" }}{{ not 0 }}", "0xtrue"},
        {"{{ eq 1 2 1 }}{{ ne 1 1 }}{{ lt 1 2 }}{{ le 2 2 }}{{ gt 2.5 1.5 }}{{ ge \"b\" \"c\" }}",
         "truefalsetruetruetruefalse"},
        {"{{ html \"<a & 'b'>\" }}{{ urlquery \"a b/c\" }}{{ js \"'x'<\" }}",
         "&lt;a &amp; &#39;b&#39;&gt;a+b%2Fc\\'x\\'\\u003C"},
        {"{{ 5 | printf \"%03d\" }}{{ (index $labels \"job\") | len }}", "0053"},
        {"{{ and true (gt 2 1) }}{{ or false (print \"z\") }}", "truez"},
    };
    check_rows(rows, ARRAY_LEN(rows), 1);
}

TEST(template_functions_of_prometheus)
{
    static const struct row rows[] = {
        {"{{ humanize 1234567.0 }} {{ humanize 0.00123 }} {{ humanize 0 }} {{ humanize \"-12\" }}",
         "1.235M 1.23m 0 -12"},
        {"{{ humanize1024 1048576.0 }} {{ humanize1024 0.5 }}", "1Mi 0.5"},
        {"{{ humanizeDuration 0 }} {{ humanizeDuration 59.5 }} {{ humanizeDuration 899 }} "
         "{{ humanizeDuration 86400 }} {{ humanizeDuration -3661.0 }} {{ humanizeDuration 0.0013 "
         "}}",
         "0s 59.5s 14m 59s 1d 0h 0m 0s -1h 1m 1s 1.3ms"},
        {"{{ humanizePercentage 0.99876 }} {{ humanizeTimestamp 1435065584.128 }}",
         "99.88% 2015-06-23 13:19:44.128 +0000 UTC"},
        {"{{ toTime 1.5 }} {{ toDuration 90.5 }} {{ parseDuration \"1h2m\" }}",
         "1970-01-01 00:00:01.5 +0000 UTC 1m30.5s 3720"},
        {"{{ title \"ab cd\" }} {{ toUpper \"a\xc3\xa9\" }} {{ toLower \"\xc3\x89X\" }}",
         "Ab Cd A\xc3\x89 \xc3\xa9x"},
        {"{{ reReplaceAll \"(.*):.*\" \"$1\" $labels.instance }} {{ match \"b\" \"abc\" }}",
         "a.b.c true"},
        {"{{ stripPort $labels.instance }} {{ stripDomain $labels.instance }} {{ stripDomain "
         "\"10.1.2.3:9\" }} {{ stripPort \"[::1]:80\" }}",
         "a.b.c a:90 10.1.2.3:9 ::1"},
        {"{{ graphLink \"up == 1\" }} {{ tableLink \"a\" }} {{ urlQueryEscape \"a/b\" }}",
         "/graph?g0.expr=up+%3D%3D+1&g0.tab=0 /graph?g0.expr=a&g0.tab=1 a%2Fb"},
        {"{{ safeHtml \"<b>\" }}", "<b>"},
    };
    check_rows(rows, ARRAY_LEN(rows), 1);
}

TEST(template_errors_become_text)
{
    static const struct row rows[] = {
        {"{{ if gt $value 0 }}x{{ end }}",
         "<error expanding template: error executing template __alert_A: template: "
         "__alert_A:1:118: executing \"__alert_A\" at <gt $value 0>: error calling gt: "
         "incompatible types for comparison>"},
        {"{{ $nope }}", "<error expanding template: error parsing template __alert_A: template: "
                        "__alert_A:1: undefined variable \"$nope\">"},
        {"{{ first (query \"up\") }}",
         "<error expanding template: error executing template __alert_A: template: "
         "__alert_A:1:122: executing \"__alert_A\" at <query \"up\">: error calling query: no "
         "source of samples here>"},
        {"{{ $value.x }}",
         "<error expanding template: error executing template __alert_A: template: "
         "__alert_A:1:115: executing \"__alert_A\" at <$value.x>: can't evaluate field x in type "
         "float64>"},
        {"{{ template \"nope\" }}",
         "<error expanding template: error executing template __alert_A: template: "
         "__alert_A:1:115: executing \"__alert_A\" at <nope>: template \"nope\" not defined>"},
    };
    check_rows(rows, ARRAY_LEN(rows), 1);
}

TEST(template_check_says_where)
{
    static const struct {
        const char *text, *msg;
        uint32_t line, col;
    } rows[] = {
        {"{{ end }}", "unexpected {{end}}", 1, 4},
        {"{{ if 1 }}", "unexpected EOF", 1, 11},
        {"a\n {{ foo }}", "function \"foo\" not defined", 2, 5},
        {"{{ $label.x }}", "undefined variable \"$label\"", 1, 4},
        {"{{ \"a }}", "unterminated quoted string", 1, 4},
        {"{{ 1 | 2 }}", "non executable command in pipeline stage 2", 1, 8},
        {"{{ }}", "missing value for command", 1, 4},
        {"{{ break }}", "{{break}} outside {{range}}", 1, 4},
        {"{{ 1", "unclosed action", 1, 5},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err e = {0};
        assert_false(rules_template_check(str_from_c(rows[i].text), &e));
        assert_str(str_from_c(e.msg), str_from_c(rows[i].msg));
        assert_int_equal(e.line, rows[i].line);
        assert_int_equal(e.col, rows[i].col);
    }
    assert_true(rules_template_check(STR("{{ range query \"up\" }}{{ .Value }}{{ end }}"), NULL));
}

/* Templates that run for ever, or grow without end, are stopped. */
TEST(template_work_is_bounded)
{
    struct mem m;
    struct buf out;
    mem_init(&m, 0);
    buf_init(&out, &m, 1U << 21);
    expand("{{ range 100000 }}{{ range 100000 }}{{ end }}{{ end }}", 1, &m, &out);
    assert_true(str_contains(buf_str(&out), STR("ran more than")));
    expand("{{ define \"a\" }}{{ template \"a\" }}{{ end }}{{ template \"a\" }}", 1, &m, &out);
    assert_true(str_contains(buf_str(&out), STR("maximum template depth")));
    expand("{{ range 2000000 }}xxxxxxxxxx{{ end }}", 1, &m, &out);
    assert_true(str_contains(buf_str(&out), STR("<error expanding template")));
    buf_release(&out);
}
