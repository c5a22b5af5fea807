/* simdjson 3.0.1 behind a C face. The whole of the project's JSON parsing in C++ is this file; what
 * the tape means is read in codec/json.c. Built without relying on exceptions: every simdjson call
 * used here is noexcept, and memory comes from nothrow new. */
#include "codec/shim/json_shim.h"

#include <new>
#include <simdjson.h>

static_assert(simdjson::SIMDJSON_PADDING <= 64, "JSON_PADDING in codec/json.h must cover it");

struct json_shim {
    simdjson::dom::parser parser;
};

struct json_shim *json_shim_new(void)
{
    return new (std::nothrow) json_shim;
}

void json_shim_free(struct json_shim *s)
{
    delete s;
}

int json_shim_reserve(struct json_shim *s, size_t bytes, size_t depth_max)
{
    return s->parser.allocate(bytes, depth_max) == simdjson::SUCCESS;
}

enum json_shim_result json_shim_read(struct json_shim *s, const char *p, size_t n,
                                     struct json_shim_tape *out)
{
    simdjson::dom::element root;
    simdjson::error_code code = s->parser.parse(p, n, false).get(root);
    if (code == simdjson::SUCCESS) {
        out->words = s->parser.doc.tape.get();
        out->strings = s->parser.doc.string_buf.get();
        return JSON_SHIM_OK;
    }
    if (code == simdjson::NUMBER_ERROR) {
        return JSON_SHIM_NUMBER;
    }
    return code == simdjson::MEMALLOC ? JSON_SHIM_NOMEM : JSON_SHIM_INVALID;
}
