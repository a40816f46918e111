/*
 * fuzz_event_scan: any bytes as a record. The verdict is the same however the bytes are cut, and
 * where they are JSON it is what the tree says.
 */
#include "common/json.h"
#include "common/memory.h"
#include "fuzz.h"
#include "worker/event_scan.h"

static const struct json_limits limits = {
    .bytes_max = 1024 * 1024, .depth_max = EVENT_SCAN_DEPTH_MAX, .values_max = 10000};

static enum event_class scan_in_pieces(
    struct event_scan *scan, const uint8_t *data, size_t size, size_t piece)
{
    event_scan_init(scan);
    for (size_t at = 0; at < size; at += piece) {
        size_t rest = size - at < piece ? size - at : piece;
        void *block = memory_copy(data + at, rest);
        event_scan_feed(scan, block, rest);
        free(block);
    }
    return event_scan_end(scan);
}

static void require_printable(const char *type)
{
    require(strlen(type) <= EVENT_SCAN_TYPE_BYTES_MAX);
    for (; *type; type++)
        require(*type >= ' ' && *type < 0x7f);
}

/* The tree knows the keys in their order, and no two are equal. */
static void require_right(const struct event_scan *scan, const json_value *tree)
{
    if (!json_is_object(tree)) {
        require(scan->class == EVENT_UNREADABLE);
        return;
    }
    for (const json_value *child = json_first(tree); child; child = json_next(child)) {
        if (strcmp(json_name(child), "data") == 0 &&
            (json_is_object(child) || json_is_array(child))) {
            require(scan->class == EVENT_DATA);
            return;
        }
        if (strcmp(json_name(child), "type") == 0) {
            require(json_is_string(child) || scan->class == EVENT_OTHER);
            require(!json_is_string(child) || (strcmp(json_text(child), "auth") == 0) ==
                                                  (strcmp(event_scan_type(scan), "auth") == 0));
            return;
        }
    }
    require(scan->class == EVENT_OTHER && !event_scan_type(scan)[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct event_scan whole, pieces;
    struct json_error error;
    scan_in_pieces(&whole, data, size, size + 1);
    require(whole.class != EVENT_UNDECIDED);
    require_printable(event_scan_type(&whole));
    for (size_t piece = 1; piece < 12; piece++) {
        scan_in_pieces(&pieces, data, size, piece);
        require(pieces.class == whole.class);
        require(strcmp(event_scan_type(&pieces), event_scan_type(&whole)) == 0);
    }
    json_value *tree = json_parse(data, size, &limits, &error);
    if (tree)
        require_right(&whole, tree);
    json_free(tree);
    return 0;
}
