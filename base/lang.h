/* The languages that people are written to. Texts come in pairs: [LANG_PT], [LANG_EN]. */
#ifndef BASE_LANG_H
#define BASE_LANG_H

enum lang { LANG_PT, LANG_EN };
#define LANGS 2

#endif
