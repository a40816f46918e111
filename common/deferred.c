/* deferred: see deferred.h. */
#include "common/deferred.h"

#include <utlist.h>

static void on_turn(uv_idle_t *idle)
{
    struct deferred_queue *queue = idle->data;
    /* A marker tells where this turn's work ends: items may be added and removed while it runs. */
    struct deferred end = {.queued = true};
    DL_APPEND2(queue->items, &end, previous, next);
    while (queue->items && queue->items != &end) {
        struct deferred *item = queue->items;
        DL_DELETE2(queue->items, item, previous, next);
        item->queued = false;
        item->run(item);
    }
    deferred_queue_remove(queue, &end); /* unless the queue was closed meanwhile */
    if (!queue->items)
        uv_idle_stop(&queue->idle);
}

void deferred_queue_init(struct deferred_queue *queue, uv_loop_t *loop)
{
    queue->items = NULL;
    uv_idle_init(loop, &queue->idle);
    queue->idle.data = queue;
}

void deferred_queue_close(struct deferred_queue *queue)
{
    struct deferred *item, *following;
    DL_FOREACH_SAFE2(queue->items, item, following, next)
    {
        deferred_queue_remove(queue, item);
    }
    uv_close((uv_handle_t *)&queue->idle, NULL);
}

void deferred_queue_add(struct deferred_queue *queue, struct deferred *item)
{
    if (item->queued)
        return;
    item->queued = true;
    DL_APPEND2(queue->items, item, previous, next);
    uv_idle_start(&queue->idle, on_turn);
}

void deferred_queue_remove(struct deferred_queue *queue, struct deferred *item)
{
    if (!item->queued)
        return;
    item->queued = false;
    DL_DELETE2(queue->items, item, previous, next);
}
