/* Huffman codes of bytes, a static one and an adaptive one, and runs of equal bytes.

   docs/streams.md describes every step. Bits come from the highest of a byte down. Nothing is read outside
   the arrays, whatever a payload says, and a decoder takes no payload but the encoder's own; the global lock
   is released. */

#define Py_LIMITED_API 0x030b0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define SYMBOLS 256
#define LIMIT 15        /* bits of the longest code word */
#define FIRST_LENGTH 8  /* that the first length is told from */
#define HEAD 512        /* bytes; more than any table of lengths takes */
#define EQUAL 4         /* values of a run before its count */
#define MOST 255        /* that a count can say */

typedef struct {
    unsigned char *bytes;
    size_t size, capacity;
    uint64_t pending; /* its lowest `bits`, fewer than 32, are not in `bytes` yet */
    int bits;
} Writer;

typedef struct {
    const unsigned char *next, *end;
    uint64_t window; /* its highest `bits` are what comes next; of those, the last `beyond` are no one's */
    int64_t bits, beyond;
} Reader;

/* Make sure that so many more bytes fit. */
static int reserve(Writer *writer, size_t more) {
    if (writer->capacity - writer->size >= more)
        return 1;
    size_t capacity = 2 * writer->capacity + more;
    unsigned char *bytes = realloc(writer->bytes, capacity);
    if (!bytes)
        return 0;
    writer->bytes = bytes;
    writer->capacity = capacity;
    return 1;
}

/* Write up to 32 bits; there is room for them. */
static inline void put(Writer *writer, uint32_t value, int bits) {
    writer->pending = writer->pending << bits | value;
    writer->bits += bits;
    if (writer->bits >= 32) {
        writer->bits -= 32;
        uint32_t word = (uint32_t)(writer->pending >> writer->bits);
        for (int shift = 24; shift >= 0; shift -= 8)
            writer->bytes[writer->size++] = (unsigned char)(word >> shift);
    }
}

/* A number of at least 1, by Elias's gamma code. */
static void put_gamma(Writer *writer, uint32_t value) {
    int bits = 0;
    while (value >> bits)
        bits++;
    put(writer, value, 2 * bits - 1);
}

static PyObject *finish_encoding(Writer *writer, int fine) {
    PyObject *payload = NULL;
    if (fine) {
        for (; writer->bits > 0; writer->bits -= 8)
            writer->bytes[writer->size++] =
                (unsigned char)(writer->bits >= 8 ? writer->pending >> (writer->bits - 8)
                                                  : writer->pending << (8 - writer->bits));
        payload = PyBytes_FromStringAndSize((const char *)writer->bytes, (Py_ssize_t)writer->size);
    } else {
        PyErr_NoMemory();
    }
    free(writer->bytes);
    return payload;
}

/* Have at least 57 bits in the window, zeros behind the payload. */
static inline void refill(Reader *reader) {
    if (reader->end - reader->next >= 8) {
        uint64_t word = 0;
        for (int i = 0; i < 8; i++)
            word = word << 8 | reader->next[i];
        reader->window |= word >> reader->bits;
        reader->next += (63 - reader->bits) >> 3;
        reader->bits |= 56;
        return;
    }
    for (; reader->bits <= 56; reader->bits += 8) {
        if (reader->next < reader->end)
            reader->window |= (uint64_t)*reader->next++ << (56 - reader->bits);
        else
            reader->beyond += 8;
    }
}

/* Read 1 to 32 bits. */
static uint32_t get(Reader *reader, int bits) {
    refill(reader);
    uint32_t value = (uint32_t)(reader->window >> (64 - bits));
    reader->window <<= bits;
    reader->bits -= bits;
    return value;
}

/* A number of Elias's gamma code, or 0 where none up to 511 is. */
static uint32_t get_gamma(Reader *reader) {
    int zeros = 0;
    while (!get(reader, 1))
        if (++zeros > 8)
            return 0;
    return zeros ? 1u << zeros | get(reader, zeros) : 1;
}

/* Whether all was read but less than a byte of zeros. */
static int ended(const Reader *reader) {
    int64_t rest = reader->bits - reader->beyond;
    return reader->next == reader->end && rest >= 0 && rest < 8 && !reader->window;
}

/* How often each value occurs; the number of those that do. */
static int count_values(const unsigned char *values, size_t count, uint64_t *counts) {
    int used = 0;
    memset(counts, 0, SYMBOLS * sizeof *counts);
    for (size_t i = 0; i < count; i++)
        counts[values[i]]++;
    for (int symbol = 0; symbol < SYMBOLS; symbol++)
        used += counts[symbol] > 0;
    return used;
}

/* The lengths of the best code words of at most LIMIT bits, by the package-merge algorithm of L. Larmore and
   D. Hirschberg (J. ACM 37, 1990); all zero if only one value is used. */
static void find_lengths(const uint64_t *counts, unsigned char *lengths) {
    int sorted[SYMBOLS], used = 0, items = 0;
    uint64_t weights[2][2 * SYMBOLS];
    unsigned char is_leaf[LIMIT][2 * SYMBOLS];
    memset(lengths, 0, SYMBOLS);
    for (int symbol = 0; symbol < SYMBOLS; symbol++)
        if (counts[symbol]) {
            int place = used++;
            for (; place > 0 && counts[sorted[place - 1]] > counts[symbol]; place--)
                sorted[place] = sorted[place - 1];
            sorted[place] = symbol;
        }
    for (int level = 0; level < LIMIT; level++) {
        const uint64_t *before = weights[~level & 1];
        int pairs = items / 2, leaf = 0, pair = 0;
        for (items = 0; leaf < used || pair < pairs; items++) {
            uint64_t package = pair < pairs ? before[2 * pair] + before[2 * pair + 1] : UINT64_MAX;
            int takes_leaf = leaf < used && counts[sorted[leaf]] <= package;
            is_leaf[level][items] = (unsigned char)takes_leaf;
            weights[level & 1][items] = takes_leaf ? counts[sorted[leaf]] : package;
            leaf += takes_leaf;
            pair += !takes_leaf;
        }
    }
    for (int level = LIMIT, taken = 2 * used - 2; level-- > 0;) {
        int leaves = 0;
        for (int i = 0; i < taken; i++)
            leaves += is_leaf[level][i];
        for (int i = 0; i < leaves; i++)
            lengths[sorted[i]]++;
        taken = 2 * (taken - leaves);
    }
}

/* The head: which values are used, as runs, then how the length of each differs from that of the one before. */
static void put_head(Writer *writer, const uint64_t *counts, const unsigned char *lengths, int used) {
    for (int symbol = 0, named = 0; symbol < SYMBOLS; named = !named) {
        int run = 0;
        while (symbol + run < SYMBOLS && (counts[symbol + run] > 0) == named)
            run++;
        put_gamma(writer, (uint32_t)(run + !(symbol || named)));
        symbol += run;
    }
    for (int symbol = 0, before = FIRST_LENGTH; used > 1 && symbol < SYMBOLS; symbol++)
        if (lengths[symbol]) {
            int more = lengths[symbol] - before;
            put_gamma(writer, (uint32_t)(more > 0 ? 2 * more : 1 - 2 * more));
            before = lengths[symbol];
        }
}

/* The number of used values, of which the last is `only`; 0 if this is no head of a complete code. */
static int get_head(Reader *reader, unsigned char *lengths, int *only) {
    int used = 0, first = 1;
    unsigned char is_used[SYMBOLS];
    for (int symbol = 0, named = 0; symbol < SYMBOLS; named = !named, first = 0) {
        int run = (int)get_gamma(reader) - first;
        if (run < !first || run > SYMBOLS - symbol)
            return 0;
        memset(is_used + symbol, named, (size_t)run);
        symbol += run;
        if (named) {
            used += run;
            *only = symbol - 1;
        }
    }
    memset(lengths, 0, SYMBOLS);
    if (used < 2)
        return used;
    uint32_t kraft = 0;
    for (int symbol = 0, length = FIRST_LENGTH; symbol < SYMBOLS; symbol++)
        if (is_used[symbol]) {
            int token = (int)get_gamma(reader);
            length += token & 1 ? -(token / 2) : token / 2;
            if (!token || length < 1 || length > LIMIT)
                return 0;
            lengths[symbol] = (unsigned char)length;
            kraft += 1u << (LIMIT - length);
        }
    return kraft == 1u << LIMIT ? used : 0;
}

static int encode_values(Writer *writer, const unsigned char *values, size_t count) {
    uint64_t counts[SYMBOLS], bits = 0;
    unsigned char lengths[SYMBOLS];
    uint32_t codes[SYMBOLS], code = 0;
    int used = count_values(values, count, counts);
    find_lengths(counts, lengths);
    for (int length = 1; length <= LIMIT; length++, code <<= 1)
        for (int symbol = 0; symbol < SYMBOLS; symbol++)
            if (lengths[symbol] == length) {
                codes[symbol] = code++;
                bits += counts[symbol] * (uint64_t)length;
            }
    if (!reserve(writer, HEAD + (size_t)(bits / 8)))
        return 0;
    put_head(writer, counts, lengths, used);
    for (size_t i = 0; used > 1 && i < count; i++)
        put(writer, codes[values[i]], lengths[values[i]]);
    return 1;
}

/* Whether the payload is that of so many values. */
static int decode_values(Reader *reader, const unsigned char *lengths, int used, int only,
                         unsigned char *values, size_t count, uint16_t *table) {
    int longest = 0;
    for (int symbol = 0; symbol < SYMBOLS; symbol++)
        longest = lengths[symbol] > longest ? lengths[symbol] : longest;
    if (used == 1) {
        memset(values, only, count);
        return ended(reader);
    }
    uint16_t *entry = table; /* for each window: the value's byte, then the length of its code word */
    for (int length = 1; length <= longest; length++)
        for (int symbol = 0; symbol < SYMBOLS; symbol++)
            if (lengths[symbol] == length)
                for (int i = 1 << (longest - length); i > 0; i--)
                    *entry++ = (uint16_t)(symbol << 8 | length);
    for (size_t i = 0; i < count;) {
        refill(reader);
        for (int together = 0; together < 3 && i < count; together++) {
            uint16_t found = table[reader->window >> (64 - longest)];
            values[i++] = (unsigned char)(found >> 8);
            reader->window <<= found & 15;
            reader->bits -= found & 15;
        }
    }
    uint64_t counts[SYMBOLS];
    unsigned char best[SYMBOLS];
    if (!ended(reader) || count_values(values, count, counts) != used)
        return 0;
    find_lengths(counts, best);
    return !memcmp(best, lengths, SYMBOLS);
}

/* The tree of the adaptive code, in places from the root at 0 down, of falling weight. The children of a node
   stand side by side, as pair p at 2 p + 1 and 2 p + 2. */
typedef struct {
    uint64_t weights[2 * SYMBOLS + 1];
    int contents[2 * SYMBOLS + 1]; /* a value, NEW, or INNER + its pair of children */
    int places[SYMBOLS + 1];       /* of the values and of NEW; -1 if there is none yet */
    int parents[SYMBOLS];          /* of the pairs */
    int pairs;
} Tree;

#define NEW SYMBOLS         /* the leaf that stands for all values that did not occur */
#define INNER (SYMBOLS + 1)

static void plant(Tree *tree) {
    memset(tree, 0, sizeof *tree);
    tree->contents[0] = NEW;
    for (int value = 0; value < SYMBOLS; value++)
        tree->places[value] = -1;
}

static void settle(Tree *tree, int place, int content) {
    tree->contents[place] = content;
    if (content < INNER)
        tree->places[content] = place;
    else
        tree->parents[content - INNER] = place;
}

/* Count a value: the algorithm of N. Faller, R. Gallager and D. Knuth (J. Algorithms 6, 1985). */
static void learn(Tree *tree, int value) {
    int place = tree->places[value];
    if (place < 0) {
        int pair = tree->pairs++;
        settle(tree, tree->places[NEW], INNER + pair);
        settle(tree, place = 2 * pair + 1, value);
        settle(tree, 2 * pair + 2, NEW);
    }
    for (;; place = tree->parents[(place - 1) / 2]) {
        int leader = place;
        while (leader > 0 && tree->weights[leader - 1] == tree->weights[place])
            leader--;
        if (leader < place && leader != tree->parents[(place - 1) / 2]) {
            int content = tree->contents[leader];
            settle(tree, leader, tree->contents[place]);
            settle(tree, place, content);
            place = leader;
        }
        tree->weights[place]++;
        if (!place)
            return;
    }
}

static int encode_adaptively(Writer *writer, const unsigned char *values, size_t count) {
    Tree tree;
    plant(&tree);
    for (size_t i = 0; i < count; i++) {
        int is_new = tree.places[values[i]] < 0, depth = 0;
        unsigned char path[SYMBOLS + 1];
        if (!reserve(writer, SYMBOLS))
            return 0;
        for (int place = tree.places[is_new ? NEW : values[i]]; place; place = tree.parents[(place - 1) / 2])
            path[depth++] = !(place & 1);
        while (depth > 0)
            put(writer, path[--depth], 1);
        if (is_new)
            put(writer, values[i], 8);
        learn(&tree, values[i]);
    }
    return 1;
}

static int decode_adaptively(Reader *reader, unsigned char *values, size_t count) {
    Tree tree;
    plant(&tree);
    for (size_t i = 0; i < count; i++) {
        int value = tree.contents[0];
        while (value >= INNER)
            value = tree.contents[2 * (value - INNER) + 1 + (int)get(reader, 1)];
        if (value == NEW && tree.places[value = (int)get(reader, 8)] >= 0)
            return 0;
        values[i] = (unsigned char)value;
        learn(&tree, value);
    }
    return ended(reader);
}

static PyObject *encode_with(PyObject *arguments,
                             int (*code)(Writer *, const unsigned char *, size_t)) {
    Py_buffer values;
    if (!PyArg_ParseTuple(arguments, "y*:encode", &values))
        return NULL;
    Writer writer = {0};
    int fine;
    Py_BEGIN_ALLOW_THREADS
    fine = reserve(&writer, 8) && code(&writer, values.buf, (size_t)values.len) && reserve(&writer, 8);
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&values);
    return finish_encoding(&writer, fine);
}

static PyObject *encode(PyObject *self, PyObject *arguments) {
    return encode_with(arguments, encode_values);
}

static PyObject *encode_adaptive(PyObject *self, PyObject *arguments) {
    return encode_with(arguments, encode_adaptively);
}

static PyObject *damaged(void) {
    PyErr_SetString(PyExc_ValueError, "the payload is not that of so many bytes");
    return NULL;
}

/* An array of so many bytes, each of which takes a bit of the payload at least, or some of nothing. */
static PyObject *allocate(const Py_buffer *payload, Py_ssize_t count, int free_of_charge) {
    if (count < 1 || (!free_of_charge && count / 8 > payload->len))
        return damaged();
    return PyBytes_FromStringAndSize(NULL, count);
}

static PyObject *decode(PyObject *self, PyObject *arguments) {
    Py_buffer payload;
    Py_ssize_t count;
    if (!PyArg_ParseTuple(arguments, "y*n:decode", &payload, &count))
        return NULL;
    Reader reader = {.next = payload.buf, .end = (const unsigned char *)payload.buf + payload.len};
    unsigned char lengths[SYMBOLS];
    int only = 0, used = get_head(&reader, lengths, &only);
    PyObject *values = used ? allocate(&payload, count, used == 1) : damaged();
    if (values) {
        uint16_t *table = malloc(sizeof *table << LIMIT);
        unsigned char *out = (unsigned char *)PyBytes_AsString(values);
        int fine = 0;
        Py_BEGIN_ALLOW_THREADS
        fine = table && decode_values(&reader, lengths, used, only, out, (size_t)count, table);
        Py_END_ALLOW_THREADS
        if (!fine) {
            Py_DECREF(values);
            values = table ? damaged() : PyErr_NoMemory();
        }
        free(table);
    }
    PyBuffer_Release(&payload);
    return values;
}

static PyObject *decode_adaptive(PyObject *self, PyObject *arguments) {
    Py_buffer payload;
    Py_ssize_t count;
    if (!PyArg_ParseTuple(arguments, "y*n:decode_adaptive", &payload, &count))
        return NULL;
    Reader reader = {.next = payload.buf, .end = (const unsigned char *)payload.buf + payload.len};
    PyObject *values = allocate(&payload, count, 0);
    if (values) {
        unsigned char *out = (unsigned char *)PyBytes_AsString(values);
        int fine;
        Py_BEGIN_ALLOW_THREADS
        fine = decode_adaptively(&reader, out, (size_t)count);
        Py_END_ALLOW_THREADS
        if (!fine) {
            Py_DECREF(values);
            values = damaged();
        }
    }
    PyBuffer_Release(&payload);
    return values;
}

/* The values of each run up to EQUAL, then how many more there are. */
static PyObject *shorten(PyObject *self, PyObject *arguments) {
    Py_buffer values;
    if (!PyArg_ParseTuple(arguments, "y*:shorten", &values))
        return NULL;
    const unsigned char *from = values.buf, *end = from + values.len;
    unsigned char *begin = malloc((size_t)(values.len + values.len / EQUAL + 1)), *to = begin;
    PyObject *shortened = NULL;
    if (begin) {
        while (from < end) {
            Py_ssize_t run = 1;
            while (from + run < end && run < EQUAL + MOST && from[run] == *from)
                run++;
            Py_ssize_t kept = run < EQUAL ? run : EQUAL;
            memset(to, *from, (size_t)kept);
            to += kept;
            if (run >= EQUAL)
                *to++ = (unsigned char)(run - EQUAL);
            from += run;
        }
        shortened = PyBytes_FromStringAndSize((const char *)begin, to - begin);
    } else {
        PyErr_NoMemory();
    }
    free(begin);
    PyBuffer_Release(&values);
    return shortened;
}

static int lengthen_runs(const unsigned char *from, const unsigned char *end, unsigned char *to,
                         Py_ssize_t count) {
    unsigned char *last = to + count;
    int value = -1, equal = 0, barred = -1; /* what would have belonged to the run before */
    for (; from < end; from++) {
        if (equal == EQUAL) {
            if (*from > last - to)
                return 0;
            memset(to, value, *from);
            to += *from;
            barred = *from < MOST ? value : -1;
            equal = 0;
        } else {
            if (to == last || *from == barred)
                return 0;
            equal = equal && *from == value ? equal + 1 : 1;
            *to++ = (unsigned char)(value = *from);
            barred = -1;
        }
    }
    return to == last && equal < EQUAL;
}

static PyObject *lengthen(PyObject *self, PyObject *arguments) {
    Py_buffer shortened;
    Py_ssize_t count;
    if (!PyArg_ParseTuple(arguments, "y*n:lengthen", &shortened, &count))
        return NULL;
    PyObject *values = count < 1 ? damaged() : PyBytes_FromStringAndSize(NULL, count);
    const unsigned char *from = shortened.buf;
    if (values && !lengthen_runs(from, from + shortened.len, (unsigned char *)PyBytes_AsString(values), count)) {
        Py_DECREF(values);
        values = damaged();
    }
    PyBuffer_Release(&shortened);
    return values;
}

static PyMethodDef methods[] = {
    {"encode", encode, METH_VARARGS, "encode(values) -> bytes; at least one value."},
    {"decode", decode, METH_VARARGS, "decode(payload, count) -> bytes; ValueError if damaged."},
    {"encode_adaptive", encode_adaptive, METH_VARARGS, "encode_adaptive(values) -> bytes."},
    {"decode_adaptive", decode_adaptive, METH_VARARGS,
     "decode_adaptive(payload, count) -> bytes; ValueError if damaged."},
    {"shorten", shorten, METH_VARARGS, "shorten(values) -> bytes, with counts in place of runs."},
    {"lengthen", lengthen, METH_VARARGS, "lengthen(shortened, count) -> bytes; ValueError if damaged."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_huffman", NULL, 0, methods, NULL, NULL, NULL,
                                    NULL};

PyMODINIT_FUNC PyInit__huffman(void) { return PyModule_Create(&module); }
