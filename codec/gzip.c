/* See gzip.h. RFC 1952 by zlib; header rules of RFC 9110 section 12.5.3. */
#include "codec/gzip.h"

#define ZLIB_CONST
#include <zlib.h>

#define GZIP_WINDOW (15 + 16) /* largest window, gzip framing */
#define GZIP_LEVEL  1
#define GZIP_MEMORY 8 /* zlib's default */

/* "gzip;q=0.5" is wanted, "gzip;q=0" and "gzip;q=0.000" are not. */
static bool refused(struct str params)
{
    while (params.n > 0) {
        struct str_cut one = str_cut(params, ';');
        struct str p = str_trim(one.head);
        double q = 1;
        if (p.n > 2 && (p.p[0] == 'q' || p.p[0] == 'Q') && p.p[1] == '=') {
            return !str_to_f64(str_sub(p, 2, p.n), &q) || !(q > 0);
        }
        params = one.tail;
    }
    return false;
}

bool gzip_wanted(struct str accept)
{
    bool any = false;
    while (accept.n > 0) {
        struct str_cut one = str_cut(accept, ',');
        struct str_cut coding = str_cut(one.head, ';');
        struct str name = str_trim(coding.head);
        if (str_eq_nocase(name, STR("gzip")) || str_eq_nocase(name, STR("x-gzip"))) {
            return !refused(coding.tail);
        }
        any = any || (str_eq(name, STR("*")) && !refused(coding.tail));
        accept = one.tail;
    }
    return any;
}

bool gzip_pack(struct str body, struct buf *out)
{
    z_stream z = {0};
    if (body.n > UINT32_MAX || deflateInit2(&z, GZIP_LEVEL, Z_DEFLATED, GZIP_WINDOW, GZIP_MEMORY,
                                            Z_DEFAULT_STRATEGY) != Z_OK) {
        return false;
    }
    bool done = false;
    size_t room = deflateBound(&z, (uLong)body.n);
    if (room <= UINT32_MAX && buf_room(out, room)) {
        z.next_in = (const Bytef *)body.p;
        z.avail_in = (uInt)body.n;
        z.next_out = (Bytef *)out->p + out->n;
        z.avail_out = (uInt)room;
        done = deflate(&z, Z_FINISH) == Z_STREAM_END;
        out->n += done ? room - z.avail_out : 0;
    }
    (void)deflateEnd(&z);
    return done;
}
