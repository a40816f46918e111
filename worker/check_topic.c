/* check_topic: see check_topic.h. */
#include "worker/check_topic.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/text.h"

#define MINUTE_MS INT64_C(60000)
#define HOUR_MS (60 * MINUTE_MS)
#define DAY_MS (24 * HOUR_MS)
#define FOREVER_MS INT64_MAX
#define CREATED_SETTINGS_MAX 3

static const char area[] = "kafka";

struct topic_rule {
    bool compacted;
    int64_t kept_ms, least_ms, most_ms; /* of records; of tombstones where it is compacted */
    const char *too_short, *too_long;   /* what follows from it */
    struct kafka_property created[CREATED_SETTINGS_MAX + 1];
};

static const struct topic_rule rules[CHECK_TOPIC_KIND_COUNT] = {
    [CHECK_TOPIC_REQUESTS] = {false, DAY_MS, DAY_MS, 7 * DAY_MS,
        "requests may be gone before a worker that was down for a while reads them",
        "it holds people's ids longer than anybody needs them",
        {{"cleanup.policy", "delete"}, {"retention.ms", "86400000"},
            {"message.timestamp.type", "LogAppendTime"}}},
    [CHECK_TOPIC_REPLIES] = {false, HOUR_MS, 10 * MINUTE_MS, HOUR_MS,
        "replies may be gone before a service that restarts reads them",
        "each link in it lets its reader connect in the person's name",
        {{"cleanup.policy", "delete"}, {"retention.ms", "3600000"}}},
    [CHECK_TOPIC_OUTCOMES] = {false, 90 * DAY_MS, 90 * DAY_MS, FOREVER_MS,
        "analysts lose what is older", "",
        {{"cleanup.policy", "delete"}, {"retention.ms", "7776000000"}}},
    [CHECK_TOPIC_RAW_EVENTS] = {false, DAY_MS, DAY_MS, 7 * DAY_MS,
        "events may be gone before a worker that was down for a while reads them",
        "its pointers live for ten minutes, and people's data may be in it",
        {{"cleanup.policy", "delete"}, {"retention.ms", "86400000"}}},
    [CHECK_TOPIC_AUTH_EVENTS] = {false, 90 * DAY_MS, 90 * DAY_MS, FOREVER_MS,
        "analysts lose what is older", "",
        {{"cleanup.policy", "delete"}, {"retention.ms", "7776000000"}}},
    [CHECK_TOPIC_CONNECTIONS] = {true, 7 * DAY_MS, 7 * DAY_MS, FOREVER_MS,
        "a reader that was away for longer does not learn of disconnected users", "",
        {{"cleanup.policy", "compact"}, {"delete.retention.ms", "604800000"}}},
    [CHECK_TOPIC_DEAD_LETTERS] = {false, 14 * DAY_MS, 7 * DAY_MS, 30 * DAY_MS,
        "dead letters may be gone before anybody looks at them",
        "it holds what its sources hold, links and people's ids among it",
        {{"cleanup.policy", "delete"}, {"retention.ms", "1209600000"}}},
};

const struct kafka_property *check_topic_settings(enum check_topic_kind kind)
{
    return rules[kind].created;
}

/* False: not told, or no number. */
static bool read_number(const char *text, int64_t *number)
{
    char *end;
    if (text_empty(text))
        return false;
    errno = 0;
    long long read = strtoll(text, &end, 10);
    *number = read;
    return errno == 0 && *end == '\0';
}

/* "90 minutes", "7 days"; negative is what Kafka calls for ever. */
static const char *in_words(int64_t duration_ms, char words[32])
{
    static const struct {
        int64_t unit_ms;
        const char *name;
    } units[] = {{DAY_MS, "day"}, {HOUR_MS, "hour"}, {MINUTE_MS, "minute"}, {1000, "second"}};
    if (duration_ms < 0 || duration_ms == FOREVER_MS) {
        snprintf(words, 32, "for ever");
        return words;
    }
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        int64_t count = duration_ms / units[i].unit_ms;
        if (count > 0 && duration_ms % units[i].unit_ms == 0) {
            snprintf(words, 32, "%" PRId64 " %s%s", count, units[i].name, count == 1 ? "" : "s");
            return words;
        }
    }
    snprintf(words, 32, "%" PRId64 " ms", duration_ms);
    return words;
}

struct judgement {
    const struct topic_rule *rule;
    const struct check_topic_facts *facts;
    const char *brokers;
    struct check_report *report;
    char subject[300];
};

static void advise_setting(const struct judgement *judgement, const char *name, const char *value)
{
    check_report_advise(judgement->report,
        "kafka-configs --bootstrap-server %s --alter --topic %s --add-config %s=%s",
        judgement->brokers, judgement->facts->name, name, value);
}

/* ---- what it is like ---- */

static void describe(const struct judgement *judgement)
{
    const struct check_topic_facts *facts = judgement->facts;
    char kept[32], settings[200] = "";
    int64_t kept_ms;
    bool compacted = facts->cleanup_policy && strstr(facts->cleanup_policy, "compact");
    if (compacted)
        snprintf(settings, sizeof settings, ", cleanup.policy %s", facts->cleanup_policy);
    else if (read_number(facts->retention_ms, &kept_ms))
        snprintf(settings, sizeof settings, ", kept %s", in_words(kept_ms, kept));
    if (facts->min_insync_replicas) {
        size_t size = strlen(settings);
        snprintf(settings + size, sizeof settings - size, ", min.insync.replicas %s",
            facts->min_insync_replicas);
    }
    check_report_add(judgement->report, CHECK_OK, area, judgement->subject,
        "%d partition%s, replication %d%s", facts->partitions, facts->partitions == 1 ? "" : "s",
        facts->replicas_least, settings);
}

/* ---- what is not well ---- */

static void judge_replicas(const struct judgement *judgement)
{
    const struct check_topic_facts *facts = judgement->facts;
    int64_t in_sync_wanted;
    if (facts->leaderless > 0) {
        check_report_add(judgement->report, CHECK_FAIL, area, judgement->subject,
            "%d of %d partitions have no leader, so nothing can be read or written there",
            facts->leaderless, facts->partitions);
        check_report_advise(judgement->report, "bring back the brokers that hold them");
    } else if (read_number(facts->min_insync_replicas, &in_sync_wanted) &&
               facts->in_sync_least < in_sync_wanted) {
        check_report_add(judgement->report, CHECK_FAIL, area, judgement->subject,
            "a partition has %d replica(s) in sync and a write must reach %" PRId64
            ", so writes are refused",
            facts->in_sync_least, in_sync_wanted);
        check_report_advise(judgement->report,
            "bring back the brokers that are behind, or lower min.insync.replicas");
    }
}

static void judge_kept(const struct judgement *judgement, const char *name, const char *told)
{
    const struct topic_rule *rule = judgement->rule;
    char is[32], wanted[32], value[32];
    int64_t kept_ms;
    if (!read_number(told, &kept_ms))
        return;
    if (kept_ms < 0)
        kept_ms = FOREVER_MS;
    bool too_short = kept_ms < rule->least_ms;
    if (!too_short && kept_ms <= rule->most_ms)
        return;
    check_report_add(judgement->report, CHECK_WARN, area, judgement->subject,
        "%s is %s, %s is recommended: %s", name, in_words(kept_ms, is),
        in_words(rule->kept_ms, wanted), too_short ? rule->too_short : rule->too_long);
    snprintf(value, sizeof value, "%" PRId64, rule->kept_ms);
    advise_setting(judgement, name, value);
}

static void judge_compacted(const struct judgement *judgement)
{
    const char *policy = judgement->facts->cleanup_policy;
    if (!policy)
        return;
    if (!strstr(policy, "compact")) {
        check_report_add(judgement->report, CHECK_FAIL, area, judgement->subject,
            "it is not compacted (cleanup.policy is %s): the states of connections that do not "
            "change would be deleted with time",
            policy);
        advise_setting(judgement, "cleanup.policy", "compact");
        return;
    }
    if (strstr(policy, "delete")) {
        check_report_add(judgement->report, CHECK_WARN, area, judgement->subject,
            "cleanup.policy is %s: the states of connections that do not change are deleted with "
            "time",
            policy);
        advise_setting(judgement, "cleanup.policy", "compact");
    }
    judge_kept(judgement, "delete.retention.ms", judgement->facts->delete_retention_ms);
}

static void judge_deleted(const struct judgement *judgement)
{
    const char *policy = judgement->facts->cleanup_policy;
    if (policy && strstr(policy, "compact")) {
        check_report_add(judgement->report, CHECK_WARN, area, judgement->subject,
            "it is compacted (cleanup.policy is %s): of several records with one key only the "
            "last would be left",
            policy);
        advise_setting(judgement, "cleanup.policy", "delete");
    }
    judge_kept(judgement, "retention.ms", judgement->facts->retention_ms);
}

static void judge_timestamps(const struct judgement *judgement)
{
    const char *type = judgement->facts->timestamp_type;
    if (!type || text_equal(type, "LogAppendTime"))
        return;
    check_report_add(judgement->report, CHECK_WARN, area, judgement->subject,
        "message.timestamp.type is %s: a request's deadline counts from a clock of its sender, "
        "which may be wrong",
        type);
    advise_setting(judgement, "message.timestamp.type", "LogAppendTime");
}

void check_topic_judge(enum check_topic_kind kind, const struct check_topic_facts *facts,
    const char *brokers, struct check_report *report)
{
    struct judgement judgement = {
        .rule = &rules[kind], .facts = facts, .brokers = brokers, .report = report};
    snprintf(judgement.subject, sizeof judgement.subject, "topic %s", facts->name);
    describe(&judgement);
    judge_replicas(&judgement);
    if (facts->untold) {
        check_report_add(report, CHECK_WARN, area, judgement.subject,
            "its settings cannot be told: %s", facts->untold);
        check_report_advise(report,
            rules[kind].compacted ? "see to it that it is compacted: cleanup.policy=compact"
                                  : "see to it that it is kept as long as the documentation says");
        return;
    }
    if (rules[kind].compacted)
        judge_compacted(&judgement);
    else
        judge_deleted(&judgement);
    if (kind == CHECK_TOPIC_REQUESTS)
        judge_timestamps(&judgement);
}
