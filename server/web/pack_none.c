/* The pages of a program that was built without them. A file of its own: a linker takes it out of
 * the library only when nobody else brings web_packed. */
#include "server/web/web.h"

const struct web_pack web_packed = {.files = NULL, .count = 0, .csp = ""};
