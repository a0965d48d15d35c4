/* A range coder that reads and writes arrays, byte for byte the streams of compressai.ans.

   rANS with a 64-bit state, 32-bit words and probabilities of 16 bits (after F. Giesen's public-domain
   rans64). Each symbol has a table of cumulative frequencies, whose last entry is an escape: what lies
   outside the table follows it in groups of four bits. Symbols are coded backwards, so that they decode
   forwards. Nothing is read outside the arrays, whatever a stream says; the global lock is released. */

#define Py_LIMITED_API 0x030b0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "streams are little-endian; CompressAI's coder has the same limit"
#endif

#define PRECISION 16 /* bits of a probability */
#define NIBBLE 4     /* bits of an escaped value's groups */
#define LOWEST ((uint64_t)1 << 31) /* of the state, between symbols */
#define LARGEST_GROUPS 8 /* of an escaped value: 32 bits */
#define BUCKET 8 /* bits of a probability that a decoder's lookup leaves out */
#define BUCKETS (1 << (PRECISION - BUCKET))

typedef enum { FINE, NO_MEMORY, BAD_INDEX, BAD_TABLE, TOO_LARGE, DAMAGED } Outcome;

typedef struct {
    Py_buffer cdf, length, offset;
    Py_ssize_t count, columns;
} Tables;

typedef struct {
    uint32_t *words;
    size_t count, capacity;
    uint64_t state;
} Encoder;

typedef struct {
    const unsigned char *data;
    size_t words, next;
    uint64_t state;
} Decoder;

static int emit(Encoder *coder) {
    if (coder->count == coder->capacity) {
        size_t capacity = coder->capacity ? 2 * coder->capacity : 1024;
        uint32_t *words = realloc(coder->words, capacity * sizeof *words);
        if (!words)
            return 0;
        coder->words = words;
        coder->capacity = capacity;
    }
    coder->words[coder->count++] = (uint32_t)coder->state;
    coder->state >>= 32;
    return 1;
}

static int put(Encoder *coder, uint32_t start, uint32_t frequency) {
    if (coder->state >= ((LOWEST >> PRECISION) << 32) * frequency && !emit(coder))
        return 0;
    coder->state = ((coder->state / frequency) << PRECISION) + coder->state % frequency + start;
    return 1;
}

static int put_nibble(Encoder *coder, uint32_t value) {
    if (coder->state >= ((LOWEST >> PRECISION) << 32) * (1 << (PRECISION - NIBBLE)) && !emit(coder))
        return 0;
    coder->state = (coder->state << NIBBLE) | value;
    return 1;
}

static Outcome encode_symbol(Encoder *coder, const Tables *tables, int32_t symbol, int32_t index) {
    if (index < 0 || index >= tables->count)
        return BAD_INDEX;
    const int32_t *cdf = (const int32_t *)tables->cdf.buf + index * tables->columns;
    int64_t escape = (int64_t)((const int32_t *)tables->length.buf)[index] - 2;
    int64_t value = (int64_t)symbol - ((const int32_t *)tables->offset.buf)[index];
    if (escape < 0 || escape + 1 >= tables->columns)
        return BAD_TABLE;
    if (value < 0 || value >= escape) {
        uint64_t rest = value < 0 ? -2 * value - 1 : 2 * (value - escape);
        uint32_t groups = 0;
        while (rest >> (groups * NIBBLE))
            groups++;
        if (groups > LARGEST_GROUPS)
            return TOO_LARGE;
        for (uint32_t i = groups; i-- > 0;)
            if (!put_nibble(coder, (rest >> (i * NIBBLE)) & 15))
                return NO_MEMORY;
        if (!put_nibble(coder, groups))
            return NO_MEMORY;
        value = escape;
    }
    int64_t frequency = (int64_t)cdf[value + 1] - cdf[value];
    if (cdf[value] < 0 || frequency <= 0 || cdf[value] + frequency > 1 << PRECISION)
        return BAD_TABLE;
    return put(coder, (uint32_t)cdf[value], (uint32_t)frequency) ? FINE : NO_MEMORY;
}

static int refill(Decoder *coder) {
    if (coder->state >= LOWEST)
        return 1;
    if (coder->next == coder->words)
        return 0;
    uint32_t word;
    memcpy(&word, coder->data + 4 * coder->next++, 4);
    coder->state = (coder->state << 32) | word;
    return 1;
}

static int get_nibble(Decoder *coder, uint32_t *value) {
    *value = coder->state & 15;
    coder->state >>= NIBBLE;
    return refill(coder);
}

static Outcome decode_symbol(Decoder *coder, const Tables *tables, const uint16_t *lookup, int32_t index,
                             int32_t *symbol) {
    if (index < 0 || index >= tables->count)
        return BAD_INDEX;
    const int32_t *cdf = (const int32_t *)tables->cdf.buf + index * tables->columns;
    int64_t escape = (int64_t)((const int32_t *)tables->length.buf)[index] - 2;
    uint32_t where = coder->state & ((1 << PRECISION) - 1);
    int32_t found = lookup[index * BUCKETS + (where >> BUCKET)];
    if (found > escape || escape + 1 >= tables->columns)
        return BAD_TABLE;
    while (found < escape && (uint32_t)cdf[found + 1] <= where)
        found++;
    int64_t frequency = (int64_t)cdf[found + 1] - cdf[found];
    if (cdf[found] < 0 || frequency <= 0 || cdf[found] + frequency > 1 << PRECISION ||
        (uint32_t)cdf[found] > where)
        return BAD_TABLE;
    coder->state = (uint64_t)frequency * (coder->state >> PRECISION) + where - (uint32_t)cdf[found];
    if (!refill(coder))
        return DAMAGED;
    int64_t value = found;
    if (found == escape) {
        uint32_t groups, part;
        uint64_t rest = 0;
        if (!get_nibble(coder, &groups) || groups > LARGEST_GROUPS)
            return DAMAGED;
        for (uint32_t i = 0; i < groups; i++) {
            if (!get_nibble(coder, &part))
                return DAMAGED;
            rest |= (uint64_t)part << (i * NIBBLE);
        }
        value = rest & 1 ? -(int64_t)(rest >> 1) - 1 : (int64_t)(rest >> 1) + escape;
    }
    *symbol = (int32_t)(value + ((const int32_t *)tables->offset.buf)[index]);
    return FINE;
}

/* For each table and the highest bits of a probability, the first symbol that they can mean. */
static Outcome fill_lookup(const Tables *tables, uint16_t *lookup) {
    for (Py_ssize_t t = 0; t < tables->count; t++) {
        const int32_t *cdf = (const int32_t *)tables->cdf.buf + t * tables->columns;
        int64_t escape = (int64_t)((const int32_t *)tables->length.buf)[t] - 2;
        if (escape < 0 || escape + 1 >= tables->columns || escape > UINT16_MAX)
            return BAD_TABLE;
        int32_t symbol = 0;
        for (int32_t bucket = 0; bucket < BUCKETS; bucket++) {
            while (symbol < escape && cdf[symbol + 1] <= bucket << BUCKET)
                symbol++;
            lookup[t * BUCKETS + bucket] = (uint16_t)symbol;
        }
    }
    return FINE;
}

static PyObject *complain(Outcome outcome) {
    if (outcome == NO_MEMORY)
        return PyErr_NoMemory();
    PyErr_SetString(PyExc_ValueError, outcome == BAD_INDEX   ? "an index names no table"
                                      : outcome == BAD_TABLE ? "a table is not one of rising frequencies"
                                      : outcome == TOO_LARGE ? "a symbol has more than 32 bits"
                                                             : "the payload is damaged");
    return NULL;
}

static int is_int32(const Py_buffer *buffer, const char *name) {
    if (buffer->itemsize == 4 && buffer->len % 4 == 0)
        return 1;
    PyErr_Format(PyExc_TypeError, "%s must be numbers of four bytes", name);
    return 0;
}

static int check_tables(Tables *tables) {
    if (!is_int32(&tables->cdf, "cdf") || !is_int32(&tables->length, "length") ||
        !is_int32(&tables->offset, "offset"))
        return 0;
    tables->count = tables->length.len / 4;
    tables->columns = tables->count ? tables->cdf.len / 4 / tables->count : 0;
    if (tables->offset.len == tables->length.len && tables->count * tables->columns * 4 == tables->cdf.len)
        return 1;
    PyErr_SetString(PyExc_ValueError, "tables do not fit each other");
    return 0;
}

static int check(const Py_buffer *symbols, const Py_buffer *indexes, Tables *tables) {
    if (!is_int32(symbols, "symbols") || !is_int32(indexes, "indexes") || !check_tables(tables))
        return 0;
    if (symbols->len == indexes->len)
        return 1;
    PyErr_SetString(PyExc_ValueError, "there must be an index for each symbol");
    return 0;
}

static void release_tables(Tables *tables) {
    PyBuffer_Release(&tables->cdf);
    PyBuffer_Release(&tables->length);
    PyBuffer_Release(&tables->offset);
}

static PyObject *encode(PyObject *self, PyObject *arguments) {
    Py_buffer symbols, indexes;
    Tables tables;
    if (!PyArg_ParseTuple(arguments, "y*y*y*y*y*:encode", &symbols, &indexes, &tables.cdf, &tables.length,
                          &tables.offset))
        return NULL;
    PyObject *payload = NULL;
    if (check(&symbols, &indexes, &tables)) {
        Encoder coder = {NULL, 0, 0, LOWEST};
        Outcome outcome = FINE;
        Py_BEGIN_ALLOW_THREADS
        for (Py_ssize_t i = symbols.len / 4; i-- > 0 && outcome == FINE;)
            outcome = encode_symbol(&coder, &tables, ((const int32_t *)symbols.buf)[i],
                                    ((const int32_t *)indexes.buf)[i]);
        for (size_t a = 0, b = coder.count; a + 1 < b; a++) { /* the decoder reads them the other way */
            uint32_t word = coder.words[--b];
            coder.words[b] = coder.words[a];
            coder.words[a] = word;
        }
        Py_END_ALLOW_THREADS
        if (outcome != FINE)
            complain(outcome);
        else if ((payload = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(4 * coder.count + 8)))) {
            char *bytes = PyBytes_AsString(payload);
            memcpy(bytes, &coder.state, 8);
            if (coder.count)
                memcpy(bytes + 8, coder.words, 4 * coder.count);
        }
        free(coder.words);
    }
    PyBuffer_Release(&symbols);
    PyBuffer_Release(&indexes);
    release_tables(&tables);
    return payload;
}

static PyObject *lookup(PyObject *self, PyObject *arguments) {
    Tables tables;
    if (!PyArg_ParseTuple(arguments, "y*y*y*:lookup", &tables.cdf, &tables.length, &tables.offset))
        return NULL;
    PyObject *bytes = NULL;
    if (check_tables(&tables) &&
        (bytes = PyBytes_FromStringAndSize(NULL, tables.count * BUCKETS * (Py_ssize_t)sizeof(uint16_t)))) {
        Outcome outcome = fill_lookup(&tables, (uint16_t *)PyBytes_AsString(bytes));
        if (outcome != FINE) {
            Py_DECREF(bytes);
            bytes = complain(outcome);
        }
    }
    release_tables(&tables);
    return bytes;
}

static PyObject *decode(PyObject *self, PyObject *arguments) {
    Py_buffer payload, indexes, known, symbols, progress;
    Tables tables;
    if (!PyArg_ParseTuple(arguments, "y*y*y*y*y*y*w*w*:decode", &payload, &indexes, &tables.cdf,
                          &tables.length, &tables.offset, &known, &symbols, &progress))
        return NULL;
    Outcome outcome = DAMAGED;
    int fits = check(&symbols, &indexes, &tables);
    if (fits && (progress.len != 16 || known.len != tables.count * BUCKETS * (Py_ssize_t)sizeof(uint16_t))) {
        PyErr_SetString(PyExc_TypeError, "progress must be two numbers of 64 bits, lookup that of the tables");
        fits = 0;
    }
    if (fits && payload.len >= 8 && payload.len % 4 == 0) {
        Py_BEGIN_ALLOW_THREADS
        uint64_t *kept = progress.buf; /* the state, and how many words are used, the state's own included */
        size_t words = (size_t)payload.len / 4;
        if (kept[1] < 2) {
            memcpy(&kept[0], payload.buf, 8);
            kept[1] = 2;
        }
        Decoder coder = {payload.buf, words, kept[1] < words ? (size_t)kept[1] : words, kept[0]};
        outcome = FINE;
        for (Py_ssize_t i = 0; i < symbols.len / 4 && outcome == FINE; i++)
            outcome = decode_symbol(&coder, &tables, known.buf, ((const int32_t *)indexes.buf)[i],
                                    (int32_t *)symbols.buf + i);
        kept[0] = coder.state;
        kept[1] = coder.next;
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&symbols);
    PyBuffer_Release(&indexes);
    release_tables(&tables);
    PyBuffer_Release(&known);
    PyBuffer_Release(&payload);
    PyBuffer_Release(&progress);
    if (!fits)
        return NULL;
    if (outcome != FINE)
        return complain(outcome);
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"encode", encode, METH_VARARGS,
     "encode(symbols, indexes, cdf, length, offset) -> bytes; int32 arrays, cdf with a row per table."},
    {"lookup", lookup, METH_VARARGS,
     "lookup(cdf, length, offset) -> bytes: what decode starts its search from, made once for the tables."},
    {"decode", decode, METH_VARARGS,
     "decode(payload, indexes, cdf, length, offset, lookup, symbols, progress): fill symbols, going on from\n"
     "progress (uint64 state and words used, zeros at first); ValueError if damaged."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_rans", NULL, 0, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__rans(void) { return PyModule_Create(&module); }
