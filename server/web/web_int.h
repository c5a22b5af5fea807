/* Private to server/web. */
#ifndef SERVER_WEB_WEB_INT_H
#define SERVER_WEB_WEB_INT_H

#include "server/web/web.h"

/* coding.c: of the codings in `have` (bits 1 << enum web_coding) the one that an Accept-Encoding
 * header likes best, the smaller of equals; WEB_CODINGS when it takes none. {NULL, 0} = no header:
 * plain, which is what a curl without --compressed can show. Linear. */
enum web_coding web_coding_choose(struct str accept, unsigned have);
/* Whether an If-None-Match header names the tag, quotes included; weak tags compare as strong. */
bool web_tag_matches(struct str if_none_match, struct str tag);

#endif
