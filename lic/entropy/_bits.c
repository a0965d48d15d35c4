/* An adaptive binary range coder, and what is coded with it: maps of levels, the bits that they keep, and bytes.

   The payload is a binary fraction. It lies in an interval, of which each decision takes the part that its
   context's chance says. docs/streams.md describes every step. A walk over the positions is written once for
   both directions. Integers alone; nothing is read outside the arrays, whatever a payload says; the global
   lock is released. */

#define Py_LIMITED_API 0x030b0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <stdlib.h>

#define PRECISION 16 /* bits of a chance that an interval is divided by; a context keeps 32 */
#define PATIENCE 124 /* decisions that a context counts; then the oldest begin to fade */
#define RECALL 4     /* decisions that still count when the next channel begins */
#define MOST_STEPS 255
#define STEADY 1020  /* decisions that a context of bytes counts, which fade more slowly */
#define LAST ((uint64_t)1 << 56) /* the value of a payload's last byte; no interval is smaller */

#if defined(__GNUC__)
#define ALWAYS_INLINE inline __attribute__((always_inline)) /* `decoding` is known where it is compiled */
#else
#define ALWAYS_INLINE inline
#endif

typedef enum { FINE, NO_MEMORY, DAMAGED } Outcome;

typedef struct {
    uint32_t chance, seen; /* of a one, in 2^-32; decisions that it comes from */
} Context;

typedef struct {
    uint64_t range; /* of the interval, in units of the eighth byte after those that are shifted out */
    size_t shifted;
    Outcome outcome;
    uint64_t low;           /* where the interval begins, of an encoder */
    unsigned char *written; /* what is shifted out; a carry may still change it */
    size_t capacity;
    uint64_t above;               /* how far the payload lies above that, of a decoder */
    const unsigned char *payload; /* with zeros behind it */
    size_t length;
} Coder;

static uint32_t rates[STEADY + 1]; /* that a context learns with, in 1/65536, by `seen` */

static void forget(Context *contexts, size_t count) {
    for (size_t i = 0; i < count; i++)
        contexts[i] = (Context){(uint32_t)1 << 31, 0};
}

static unsigned char byte_at(const Coder *coder, size_t place) {
    return place < coder->length ? coder->payload[place] : 0;
}

static void start_decoding(Coder *coder, const Py_buffer *payload) {
    coder->payload = payload->buf;
    coder->length = (size_t)payload->len;
    for (size_t i = 0; i < 8; i++)
        coder->above = coder->above << 8 | byte_at(coder, i);
}

/* Move where the encoder's interval begins. */
static void raise_low(Coder *coder, uint64_t by) {
    coder->low += by;
    if (coder->low < by)
        for (size_t i = coder->shifted; i-- > 0 && !++coder->written[i];)
            ;
}

static void put(Coder *coder) {
    if (coder->shifted == coder->capacity) {
        size_t capacity = coder->capacity ? 2 * coder->capacity : 1024;
        unsigned char *written = realloc(coder->written, capacity);
        if (!written) {
            coder->outcome = NO_MEMORY;
            return;
        }
        coder->written = written;
        coder->capacity = capacity;
    }
    coder->written[coder->shifted++] = (unsigned char)(coder->low >> 56);
}

static void shift(Coder *coder, int decoding) {
    for (; coder->range >> 56 == 0 && coder->outcome == FINE; coder->range <<= 8) {
        if (!decoding) {
            put(coder);
            coder->low <<= 8;
        } else if (coder->shifted + 1 < coder->length) {
            coder->above = coder->above << 8 | byte_at(coder, 8 + coder->shifted++);
        } else {
            coder->outcome = DAMAGED;
        }
    }
}

/* Code a decision or find it; what is given for it means nothing to a decoder. */
static ALWAYS_INLINE int decide(Coder *coder, Context *context, int bit, const uint32_t patience,
                                const int decoding) {
    uint64_t chance = context->chance >> (32 - PRECISION) | 1; /* never all nor nothing */
    uint64_t part = (coder->range >> PRECISION) * chance;
    uint64_t rate = rates[context->seen];
    if (decoding)
        bit = coder->above < part;
    if (bit) {
        coder->range = part;
        context->chance += (uint32_t)((((uint64_t)1 << 32) - context->chance) * rate >> 16);
    } else {
        coder->range -= part;
        if (decoding)
            coder->above -= part;
        else
            raise_low(coder, part);
        context->chance -= (uint32_t)(context->chance * rate >> 16);
    }
    context->seen += context->seen < patience;
    if (coder->range >> 56 == 0)
        shift(coder, decoding);
    return bit;
}

/* How a neighbour's level, or -1, compares to a step: 0 without neighbour, else 1 to 5. */
static int compared(int level, int step) {
    int difference = level - step;
    return level < 0 ? 0 : difference < -2 ? 1 : difference > 2 ? 5 : 3 + difference;
}

static ALWAYS_INLINE void walk_levels(Coder *coder, unsigned char *levels, Py_ssize_t height,
                                      Py_ssize_t width, int steps, const int decoding) {
    Context contexts[6 * 6];
    forget(contexts, 6 * 6);
    for (Py_ssize_t y = 0; y < height; y++)
        for (Py_ssize_t x = 0; x < width && coder->outcome == FINE; x++, levels++) {
            int west = x ? levels[-1] : -1, north = y ? levels[-width] : -1, level = 0;
            for (int step = 0; step < steps; step++) {
                Context *context = &contexts[6 * compared(west, step) + compared(north, step)];
                if (!decide(coder, context, *levels > step, PATIENCE, decoding))
                    break;
                level++;
            }
            if (decoding)
                *levels = (unsigned char)level;
        }
}

/* What is known of a position stands in two bits for each of the last three channels, the last one's lowest:
   0 of one that is not kept, 1 of a zero, 2 of a one. A context is the west's and the north's two bits of
   this channel, and all six of the position itself. */
static ALWAYS_INLINE void walk_bits(Coder *coder, unsigned char *bits, const unsigned char *levels,
                                    Py_ssize_t channels, Py_ssize_t height, Py_ssize_t width, int steps,
                                    const int decoding) {
    Context contexts[1 << 10];
    forget(contexts, 1 << 10);
    unsigned char *known = calloc((size_t)(height * width), 1);
    if (!known)
        coder->outcome = NO_MEMORY;
    for (Py_ssize_t c = 0; c < channels; c++) {
        Py_ssize_t step = c / (channels / steps);
        for (size_t i = 0; i < 1 << 10; i++)
            if (contexts[i].seen > RECALL)
                contexts[i].seen = RECALL;
        for (Py_ssize_t y = 0; y < height && coder->outcome == FINE; y++) {
            unsigned char *here = known + y * width;
            const unsigned char *above = levels + y * width;
            unsigned west = 0;
            for (Py_ssize_t x = 0; x < width; x++, bits++) {
                unsigned before = here[x], own = 0;
                if (above[x] > step) {
                    unsigned north = y ? here[x - width] & 3u : 0;
                    Context *context = &contexts[west << 8 | north << 6 | before];
                    own = 1u + (unsigned)decide(coder, context, *bits != 0, PATIENCE, decoding);
                }
                if (decoding)
                    *bits = own == 2;
                here[x] = (unsigned char)((before << 2 | own) & 63);
                west = own;
            }
        }
    }
    free(known);
}

/* A byte takes eight decisions, from its highest bit on; the context is the bits above. */
static ALWAYS_INLINE void walk_bytes(Coder *coder, unsigned char *values, Py_ssize_t count,
                                     const int decoding) {
    Context contexts[1 << 8];
    forget(contexts, 1 << 8);
    for (Py_ssize_t i = 0; i < count && coder->outcome == FINE; i++) {
        unsigned known = 1;
        for (int bit = 7; bit >= 0; bit--)
            known = known << 1 |
                    (unsigned)decide(coder, &contexts[known], decoding ? 0 : values[i] >> bit & 1, STEADY, decoding);
        if (decoding)
            values[i] = (unsigned char)known;
    }
}

/* The payload ends with the first byte that leads into the interval. */
static PyObject *finish_encoding(Coder *coder) {
    if (coder->outcome == FINE) {
        raise_low(coder, LAST - 1);
        put(coder);
    }
    PyObject *payload = NULL;
    if (coder->outcome == FINE)
        payload = PyBytes_FromStringAndSize((const char *)coder->written, (Py_ssize_t)coder->shifted);
    else
        PyErr_NoMemory();
    free(coder->written);
    return payload;
}

/* Gives away the reference to what was decoded, unless its encoder would have ended in another way. */
static PyObject *finish_decoding(const Coder *coder, PyObject *decoded) {
    if (coder->outcome == FINE && coder->length == coder->shifted + 1 && coder->above < LAST)
        return decoded;
    Py_DECREF(decoded);
    if (coder->outcome == NO_MEMORY)
        return PyErr_NoMemory();
    PyErr_SetString(PyExc_ValueError, "the payload does not end where its bits do");
    return NULL;
}

static int refuse(const char *why) {
    PyErr_SetString(PyExc_ValueError, why);
    return 0;
}

static int check_plane(Py_ssize_t height, Py_ssize_t width, int steps) {
    if (height < 1 || width < 1 || height > PY_SSIZE_T_MAX / width)
        return refuse("height and width must be positive, and the plane must fit into memory");
    return (steps >= 1 && steps <= MOST_STEPS) || refuse("there must be 1 to 255 steps");
}

static int check_channels(const Py_buffer *levels, Py_ssize_t channels, Py_ssize_t height, Py_ssize_t width,
                          int steps) {
    if (!check_plane(height, width, steps))
        return 0;
    if (levels->len != height * width)
        return refuse("levels must be bytes, one for each position");
    if (channels < 1 || channels % steps || channels > PY_SSIZE_T_MAX / (height * width))
        return refuse("channels must be a multiple of the steps, and must fit into memory");
    return 1;
}

static PyObject *encode_levels(PyObject *self, PyObject *arguments) {
    Py_buffer levels;
    Py_ssize_t height, width;
    int steps;
    if (!PyArg_ParseTuple(arguments, "y*nni:encode_levels", &levels, &height, &width, &steps))
        return NULL;
    PyObject *payload = NULL;
    if (check_plane(height, width, steps) &&
        (levels.len == height * width || refuse("levels must be bytes, one for each position"))) {
        Coder coder = {.range = UINT64_MAX};
        Py_BEGIN_ALLOW_THREADS
        walk_levels(&coder, levels.buf, height, width, steps, 0);
        Py_END_ALLOW_THREADS
        payload = finish_encoding(&coder);
    }
    PyBuffer_Release(&levels);
    return payload;
}

static PyObject *decode_levels(PyObject *self, PyObject *arguments) {
    Py_buffer payload;
    Py_ssize_t height, width;
    int steps;
    if (!PyArg_ParseTuple(arguments, "y*nni:decode_levels", &payload, &height, &width, &steps))
        return NULL;
    PyObject *levels = NULL;
    if (check_plane(height, width, steps) && (levels = PyBytes_FromStringAndSize(NULL, height * width))) {
        Coder coder = {.range = UINT64_MAX};
        start_decoding(&coder, &payload);
        unsigned char *out = (unsigned char *)PyBytes_AsString(levels);
        Py_BEGIN_ALLOW_THREADS
        walk_levels(&coder, out, height, width, steps, 1);
        Py_END_ALLOW_THREADS
        levels = finish_decoding(&coder, levels);
    }
    PyBuffer_Release(&payload);
    return levels;
}

static PyObject *encode_bits(PyObject *self, PyObject *arguments) {
    Py_buffer bits, levels;
    Py_ssize_t channels, height, width;
    int steps;
    if (!PyArg_ParseTuple(arguments, "y*y*nnni:encode_bits", &bits, &levels, &channels, &height, &width,
                          &steps))
        return NULL;
    PyObject *payload = NULL;
    if (check_channels(&levels, channels, height, width, steps) &&
        (bits.len == channels * levels.len || refuse("bits must be bytes, one for each of the positions"))) {
        Coder coder = {.range = UINT64_MAX};
        Py_BEGIN_ALLOW_THREADS
        walk_bits(&coder, bits.buf, levels.buf, channels, height, width, steps, 0);
        Py_END_ALLOW_THREADS
        payload = finish_encoding(&coder);
    }
    PyBuffer_Release(&bits);
    PyBuffer_Release(&levels);
    return payload;
}

static PyObject *decode_bits(PyObject *self, PyObject *arguments) {
    Py_buffer payload, levels;
    Py_ssize_t channels, height, width;
    int steps;
    if (!PyArg_ParseTuple(arguments, "y*y*nnni:decode_bits", &payload, &levels, &channels, &height, &width,
                          &steps))
        return NULL;
    PyObject *bits = NULL;
    if (check_channels(&levels, channels, height, width, steps) &&
        (bits = PyBytes_FromStringAndSize(NULL, channels * levels.len))) {
        Coder coder = {.range = UINT64_MAX};
        start_decoding(&coder, &payload);
        unsigned char *out = (unsigned char *)PyBytes_AsString(bits);
        Py_BEGIN_ALLOW_THREADS
        walk_bits(&coder, out, levels.buf, channels, height, width, steps, 1);
        Py_END_ALLOW_THREADS
        bits = finish_decoding(&coder, bits);
    }
    PyBuffer_Release(&payload);
    PyBuffer_Release(&levels);
    return bits;
}

static PyObject *encode_bytes(PyObject *self, PyObject *arguments) {
    Py_buffer values;
    if (!PyArg_ParseTuple(arguments, "y*:encode_bytes", &values))
        return NULL;
    Coder coder = {.range = UINT64_MAX};
    Py_BEGIN_ALLOW_THREADS
    walk_bytes(&coder, values.buf, values.len, 0);
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&values);
    return finish_encoding(&coder);
}

static PyObject *decode_bytes(PyObject *self, PyObject *arguments) {
    Py_buffer payload;
    Py_ssize_t count;
    if (!PyArg_ParseTuple(arguments, "y*n:decode_bytes", &payload, &count))
        return NULL;
    PyObject *values = NULL;
    if ((count >= 1 || refuse("there must be a byte to decode")) &&
        (values = PyBytes_FromStringAndSize(NULL, count))) {
        Coder coder = {.range = UINT64_MAX};
        start_decoding(&coder, &payload);
        unsigned char *out = (unsigned char *)PyBytes_AsString(values);
        Py_BEGIN_ALLOW_THREADS
        walk_bytes(&coder, out, count, 1);
        Py_END_ALLOW_THREADS
        values = finish_decoding(&coder, values);
    }
    PyBuffer_Release(&payload);
    return values;
}

static PyMethodDef methods[] = {
    {"encode_levels", encode_levels, METH_VARARGS,
     "encode_levels(levels, height, width, steps) -> bytes; levels are bytes from 0 to steps."},
    {"decode_levels", decode_levels, METH_VARARGS,
     "decode_levels(payload, height, width, steps) -> bytes; ValueError if damaged."},
    {"encode_bits", encode_bits, METH_VARARGS,
     "encode_bits(bits, levels, channels, height, width, steps) -> bytes; bits are bytes, 0 or 1."},
    {"decode_bits", decode_bits, METH_VARARGS,
     "decode_bits(payload, levels, channels, height, width, steps) -> bytes, 0 where none is kept;\n"
     "ValueError if damaged."},
    {"encode_bytes", encode_bytes, METH_VARARGS, "encode_bytes(values) -> bytes."},
    {"decode_bytes", decode_bytes, METH_VARARGS,
     "decode_bytes(payload, count) -> bytes; ValueError if damaged."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_bits", NULL, 0, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__bits(void) {
    for (uint32_t seen = 0; seen <= STEADY; seen++)
        rates[seen] = 65536 / (seen + 4);
    return PyModule_Create(&module);
}
