#include "common/metrics.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "common/text.h"

enum metric_type { COUNTER, GAUGE, HISTOGRAM };

struct metric {
    struct metric *next; /* of the same family */
    enum metric_type type;
    char *labels; /* "" when there are none */
    double value; /* a histogram's sum */
    const double *bounds;
    size_t bound_count;
    uint64_t *buckets; /* bound_count + 1, each on its own; added up only when printed */
};

struct family {
    struct family *next;
    char *name;
    char *help;
    enum metric_type type;
    struct metric *metrics;
};

static struct family *families;

/* 35: what ends at a deadline of 30 s ends a little later; quantiles would call that a minute. */
const double metrics_seconds_bounds[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1,
    2.5, 5, 10, 15, 30, 35, 60, 120, 300, 600};
const size_t metrics_seconds_bound_count =
    sizeof(metrics_seconds_bounds) / sizeof(metrics_seconds_bounds[0]);

/* Registering. A handful at start, so lists are searched from their beginning. */

static struct family *find_or_add_family(const char *name, const char *help, enum metric_type type)
{
    struct family **link = &families;

    for (; *link != NULL; link = &(*link)->next) {
        if (text_equal((*link)->name, name)) {
            assert((*link)->type == type);
            return *link;
        }
    }
    *link = memory_new(sizeof(**link));
    (*link)->name = memory_copy_text(name);
    (*link)->help = memory_copy_text(help);
    (*link)->type = type;
    return *link;
}

static struct metric *find_or_add(
    const char *name, const char *labels, const char *help, enum metric_type type)
{
    struct metric **link = &find_or_add_family(name, help, type)->metrics;

    labels = labels != NULL ? labels : "";
    for (; *link != NULL; link = &(*link)->next) {
        if (text_equal((*link)->labels, labels))
            return *link;
    }
    *link = memory_new(sizeof(**link));
    (*link)->type = type;
    (*link)->labels = memory_copy_text(labels);
    return *link;
}

struct metric *metrics_counter(const char *name, const char *labels, const char *help)
{
    return find_or_add(name, labels, help, COUNTER);
}

struct metric *metrics_gauge(const char *name, const char *labels, const char *help)
{
    return find_or_add(name, labels, help, GAUGE);
}

struct metric *metrics_histogram(const char *name, const char *labels, const char *help,
    const double *bounds, size_t bound_count)
{
    struct metric *metric = find_or_add(name, labels, help, HISTOGRAM);

    if (metric->buckets == NULL) {
        for (size_t i = 1; i < bound_count; i++)
            assert(bounds[i - 1] < bounds[i]);
        metric->bounds = bounds;
        metric->bound_count = bound_count;
        metric->buckets = memory_new((bound_count + 1) * sizeof(*metric->buckets));
    }
    assert(metric->bounds == bounds && metric->bound_count == bound_count);
    return metric;
}

/* Counting. */

void metric_add(struct metric *metric, double amount)
{
    assert(metric->type == GAUGE || (metric->type == COUNTER && amount >= 0));
    metric->value += amount;
}

void metric_set(struct metric *metric, double value)
{
    assert(metric->type == GAUGE);
    metric->value = value;
}

void metric_observe(struct metric *metric, double value)
{
    size_t low = 0, high = metric->bound_count;

    assert(metric->type == HISTOGRAM);
    if (isnan(value)) /* would spoil the sum for ever */
        return;
    while (low < high) { /* the first bound that is not below the value */
        size_t middle = (low + high) / 2;
        if (metric->bounds[middle] < value)
            low = middle + 1;
        else
            high = middle;
    }
    metric->buckets[low]++;
    metric->value += value;
}

static uint64_t observations(const struct metric *metric)
{
    uint64_t count = 0;

    for (size_t i = 0; i <= metric->bound_count; i++)
        count += metric->buckets[i];
    return count;
}

double metric_value(const struct metric *metric)
{
    return metric->type == HISTOGRAM ? (double)observations(metric) : metric->value;
}

/* Printing. */

static void print_number(struct buf *buf, double number)
{
    if (isfinite(number))
        buf_append_number(buf, number);
    else
        buf_append_text(buf, isnan(number) ? "NaN" : number > 0 ? "+Inf" : "-Inf");
}

static void print_help(struct buf *buf, const char *help)
{
    for (; *help != '\0'; help++) {
        if (*help == '\\')
            buf_append_text(buf, "\\\\");
        else if (*help == '\n')
            buf_append_text(buf, "\\n");
        else
            buf_append_char(buf, *help);
    }
}

/* name_suffix{labels,le="bound"} value; bound: NULL for all but a histogram's buckets */
static void print_sample(struct buf *buf, const char *name, const char *suffix, const char *labels,
    const double *bound, double value)
{
    buf_append_text(buf, name);
    buf_append_text(buf, suffix);
    if (labels[0] != '\0' || bound != NULL)
        buf_append_char(buf, '{');
    buf_append_text(buf, labels);
    if (bound != NULL) {
        buf_append_text(buf, labels[0] != '\0' ? ",le=\"" : "le=\"");
        print_number(buf, *bound);
        buf_append_char(buf, '"');
    }
    if (labels[0] != '\0' || bound != NULL)
        buf_append_char(buf, '}');
    buf_append_char(buf, ' ');
    print_number(buf, value);
    buf_append_char(buf, '\n');
}

static void print_histogram(struct buf *buf, const char *name, const struct metric *metric)
{
    static const double infinity = INFINITY;
    uint64_t count = 0;

    for (size_t i = 0; i <= metric->bound_count; i++) {
        const double *bound = i < metric->bound_count ? &metric->bounds[i] : &infinity;
        count += metric->buckets[i];
        print_sample(buf, name, "_bucket", metric->labels, bound, (double)count);
    }
    print_sample(buf, name, "_sum", metric->labels, NULL, metric->value);
    print_sample(buf, name, "_count", metric->labels, NULL, (double)count);
}

void metrics_print(struct buf *buf)
{
    static const char *const type_names[] = {"counter", "gauge", "histogram"};

    for (const struct family *family = families; family != NULL; family = family->next) {
        buf_printf(buf, "# HELP %s ", family->name);
        print_help(buf, family->help);
        buf_printf(buf, "\n# TYPE %s %s\n", family->name, type_names[family->type]);
        for (const struct metric *metric = family->metrics; metric != NULL; metric = metric->next) {
            if (metric->type == HISTOGRAM)
                print_histogram(buf, family->name, metric);
            else
                print_sample(buf, family->name, "", metric->labels, NULL, metric->value);
        }
    }
}

static void free_family(struct family *family)
{
    while (family->metrics != NULL) {
        struct metric *metric = family->metrics;
        family->metrics = metric->next;
        free(metric->labels);
        free(metric->buckets);
        free(metric);
    }
    free(family->name);
    free(family->help);
    free(family);
}

void metrics_reset(void)
{
    while (families != NULL) {
        struct family *family = families;
        families = family->next;
        free_family(family);
    }
}
