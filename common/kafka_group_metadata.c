/*
 * kafka_group_metadata: which generation of its group a consumer belongs to, as kafka_consumer.h
 * shows it.
 */
#include <assert.h>

#include "common/kafka_common.h"
#include "common/kafka_consumer.h"
#include "common/memory.h"

static char *group_id_of(rd_kafka_t *handle)
{
    size_t size = 0;
    rd_kafka_conf_get(rd_kafka_conf(handle), "group.id", NULL, &size);
    char *group_id = memory_new(size + 1);
    rd_kafka_conf_get(rd_kafka_conf(handle), "group.id", group_id, &size);
    return group_id;
}

static bool are_equal(
    const rd_kafka_consumer_group_metadata_t *a, const rd_kafka_consumer_group_metadata_t *b)
{
    /* No call of librdkafka 2.0 reads metadata, but it can be written out. */
    void *written[2];
    size_t sizes[2];
    rd_kafka_error_t *failure_a = rd_kafka_consumer_group_metadata_write(a, &written[0], &sizes[0]);
    rd_kafka_error_t *failure_b = rd_kafka_consumer_group_metadata_write(b, &written[1], &sizes[1]);
    assert(!failure_a && !failure_b);
    (void)failure_a;
    (void)failure_b;
    bool equal = sizes[0] == sizes[1] && memcmp(written[0], written[1], sizes[0]) == 0;
    rd_kafka_mem_free(NULL, written[0]);
    rd_kafka_mem_free(NULL, written[1]);
    return equal;
}

/* The library's metadata has neither generation nor member before the first join, and may have
 * neither when the membership was lost. To the broker that is somebody who needs no group, whose
 * offsets it takes whoever has the partitions. With one of the two it refuses them. */
static bool names_no_member(rd_kafka_t *handle, const rd_kafka_consumer_group_metadata_t *metadata)
{
    char *group_id = group_id_of(handle);
    rd_kafka_consumer_group_metadata_t *nobody = rd_kafka_consumer_group_metadata_new(group_id);
    bool equal = are_equal(metadata, nobody);
    rd_kafka_consumer_group_metadata_destroy(nobody);
    free(group_id);
    return equal;
}

struct kafka_group_metadata *kafka_group_metadata_new(rd_kafka_t *handle)
{
    rd_kafka_consumer_group_metadata_t *metadata = rd_kafka_consumer_group_metadata(handle);
    if (!metadata)
        return NULL;
    if (names_no_member(handle, metadata)) {
        rd_kafka_consumer_group_metadata_destroy(metadata);
        return NULL;
    }
    struct kafka_group_metadata *made = memory_new(sizeof(*made));
    made->metadata = metadata;
    return made;
}

void kafka_group_metadata_free(struct kafka_group_metadata *metadata)
{
    if (!metadata)
        return;
    rd_kafka_consumer_group_metadata_destroy(metadata->metadata);
    free(metadata);
}
