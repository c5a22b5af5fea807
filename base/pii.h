/* Personal data: detectors for values that must not enter, and the one door for showing a value.
 *
 * A CPF has 10^9 values: a plain hash of one is reversible by trying them all, so nothing here
 * hashes (domain.md section 0 item 9). Check digits are verified, to keep false alarms rare; the
 * CNPJ may be alphanumeric (IN RFB 2.229/2024: digits computed on ASCII - 48). */
#ifndef BASE_PII_H
#define BASE_PII_H

#include "base/buf.h"
#include "base/str.h"

enum pii_kind { PII_NONE = 0, PII_CPF, PII_CNPJ, PII_EMAIL, PII_PHONE };

/* What the whole value looks like; punctuation of CPF (000.000.000-00) and CNPJ is allowed. Linear,
 * reads at most 128 bytes. UUIDs (EVP keys, request ids) are not flagged. */
enum pii_kind pii_detect(struct str value);
const char *pii_kind_name(enum pii_kind k); /* "cpf", ... */

/* Appends value as it may be shown: at most 32 bytes, control bytes replaced, and masked
 * ("***.456.***-**", "j***@***") when pii_detect says so. */
void pii_mask(struct buf *b, struct str value);

#endif
