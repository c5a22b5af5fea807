/* The schema's words for the enumerations of record.h (farol.pix/1, domain.md section 6).
 *
 * Exists so that a metric label, a status page and a decoder spell a value the same way. The number
 * of a word is on disk: new ones go to the end. A number outside its list gives the empty
 * string. */
#include "flow/record.h"

#include "base/base.h"
#include "base/str.h"

#define TEXT(table, v) \
    ((size_t)(v) < ARRAY_LEN(table) ? (table)[(size_t)(v)] : (struct str){NULL, 0})

struct str verdict_text(enum verdict v)
{
    static const struct str words[VERDICTS] = {STR_INIT("approve"), STR_INIT("hold"),
                                               STR_INIT("deny"), STR_INIT("cautelar_block"),
                                               STR_INIT("step_up")};
    return TEXT(words, v);
}

struct str fallback_text(enum fallback v)
{
    static const struct str words[FALLBACKS] = {STR_INIT("none"),     STR_INIT("model"),
                                                STR_INIT("features"), STR_INIT("dict"),
                                                STR_INIT("rules"),    STR_INIT("timeout")};
    return TEXT(words, v);
}

struct str direction_text(enum direction v)
{
    static const struct str words[DIRECTIONS] = {STR_INIT("none"), STR_INIT("out"), STR_INIT("in"),
                                                 STR_INIT("internal")};
    return TEXT(words, v);
}

struct str settlement_text(enum settlement v)
{
    static const struct str words[SETTLEMENTS] = {STR_INIT("none"), STR_INIT("spi_primary"),
                                                  STR_INIT("spi_secondary"), STR_INIT("internal")};
    return TEXT(words, v);
}

struct str form_text(enum form v)
{
    static const struct str words[FORMS] = {STR_INIT("none"), STR_INIT("MANU"), STR_INIT("DICT"),
                                            STR_INIT("QRES"), STR_INIT("QRDN"), STR_INIT("INIC"),
                                            STR_INIT("AUTO"), STR_INIT("APDN"), STR_INIT("APES")};
    return TEXT(words, v);
}

struct str truth_text(enum truth v)
{
    static const struct str words[TRUTHS] = {STR_INIT("undetermined"), STR_INIT("legit"),
                                             STR_INIT("fraud")};
    return TEXT(words, v);
}

struct str label_source_text(enum label_source v)
{
    static const struct str words[LABEL_SOURCES] = {
        STR_INIT("other"),          STR_INIT("med_infraction"),   STR_INIT("fraud_marker"),
        STR_INIT("analyst"),        STR_INIT("customer_contest"), STR_INIT("chargeback_pa"),
        STR_INIT("law_enforcement")};
    return TEXT(words, v);
}

struct str stage_outcome_text(enum stage_outcome v)
{
    static const struct str words[STAGE_OUTCOMES] = {
        STR_INIT("ok"),  STR_INIT("retry"), STR_INIT("error"), STR_INIT("drop"),
        STR_INIT("dlq"), STR_INIT("dup"),   STR_INIT("skip")};
    return TEXT(words, v);
}

struct str sla_segment_text(enum sla_segment v)
{
    static const struct str words[SLA_SEGMENTS] = {STR_INIT("none"), STR_INIT("t1_t0"),
                                                   STR_INIT("t3_t2"), STR_INIT("t6a_t0")};
    return TEXT(words, v);
}
