/* check_kafka: see check_kafka.h. */
#include "worker/check_kafka.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/backoff.h"
#include "common/clock.h"
#include "common/kafka_admin.h"
#include "common/memory.h"
#include "common/text.h"
#include "worker/check_raw.h"
#include "worker/command.h"
#include "worker/reply_address.h"

#define REPLY_TOPICS_SHOWN 10
/* A topic that was made shows up at once, or a moment later. */
#define LOOK_PAUSE_NS 50000000

static const char area[] = "kafka";

struct check_kafka {
    const struct check_run *run;
    struct check_report *report;
    struct check_raw *raw; /* NULL: not read */
    uv_work_t work;

    /* the pool's while the work is under way */
    struct kafka_property properties[COMMAND_PROPERTIES_MAX];
    size_t property_count;
    struct kafka_admin *admin;
    struct kafka_admin_cluster cluster;
    struct check_report found;
    /* Those of the needs that exist, and what the cluster knows of each. */
    const struct check_topic_need *present[CHECK_TOPIC_KIND_COUNT];
    const char *names[CHECK_TOPIC_KIND_COUNT];
    size_t present_count;
    bool denied;
};

static void subject_of(char subject[300], const char *kind, const char *name)
{
    snprintf(subject, 300, "%s %s", kind, name);
}

/* A question that is not answered must not cost all that come after it their time. */
static int64_t soon(const struct check_kafka *check)
{
    int64_t soon_us = clock_monotonic_us() + check->run->options->timeout_us / 2;
    return soon_us < check->run->deadline_us ? soon_us : check->run->deadline_us;
}

/* Where something was denied the commands that permit it are printed. */
static void add_denial(struct check_kafka *check, const char *subject, const char *what)
{
    check->denied = true;
    check_report_add(&check->found, CHECK_FAIL, area, subject, "%s", what);
    check_report_advise(&check->found, "permit it: see the kafka-acls commands");
}

/* ---- brokers and login ---- */

static const char *protocol_of(const struct config *config)
{
    for (size_t i = 0; i < config->kafka_property_count; i++) {
        if (text_equal(config->kafka_properties[i].name, "security.protocol"))
            return config->kafka_properties[i].value;
    }
    return "plaintext";
}

static void advise_about_tls(struct check_report *found, const char *reason)
{
    /* Sent by the broker: it is our certificate that it does not like, or misses. */
    if (strstr(reason, "SSL alert number"))
        check_report_advise(found, "check KAFKA_SECURITY_PROTOCOL, and the certificate that the "
                                   "broker asks this client for: KAFKA_SSL_CERTIFICATE_LOCATION "
                                   "and KAFKA_SSL_KEY_LOCATION");
    else
        check_report_advise(found, "check KAFKA_SECURITY_PROTOCOL and KAFKA_SSL_CA_LOCATION, and "
                                   "that the brokers' certificates are good for the names they "
                                   "are called by");
}

static void add_connection_fault(struct check_kafka *check, const struct kafka_admin_fault *fault)
{
    const char *brokers = check->run->config->kafka_bootstrap_servers;
    struct check_report *found = &check->found;
    switch (fault->verdict) {
    case KAFKA_ADMIN_TLS_FAILED:
        check_report_add(found, CHECK_FAIL, area, "TLS",
            "a broker was reached, and encryption with it fails: %s", fault->reason);
        advise_about_tls(found, fault->reason);
        return;
    case KAFKA_ADMIN_SASL_FAILED:
        check_report_add(found, CHECK_FAIL, area, "login",
            "a broker was reached, and refuses the login: %s", fault->reason);
        check_report_advise(found, "check KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME and "
                                   "KAFKA_SASL_PASSWORD");
        return;
    default:
        check_report_add(found, CHECK_FAIL, area, "brokers", "no broker of %s can be used: %s",
            brokers, fault->reason);
        check_report_advise(found,
            "check KAFKA_BOOTSTRAP_SERVERS, the network between, that the "
            "brokers are up, and KAFKA_SECURITY_PROTOCOL (%s)",
            protocol_of(check->run->config));
        return;
    }
}

static bool look(struct check_kafka *check)
{
    struct kafka_admin_fault fault;
    if (!kafka_admin_look(check->admin, check->run->deadline_us, &check->cluster, &fault)) {
        add_connection_fault(check, &fault);
        return false;
    }
    check_report_add(&check->found, CHECK_OK, area, "brokers",
        "%d, one of them %s; %s; librdkafka %s", check->cluster.brokers,
        check->cluster.first_broker, protocol_of(check->run->config),
        kafka_admin_library_version());
    return true;
}

/* ---- topics: which are there ---- */

static bool create(struct check_kafka *check, const struct check_topic_need *topic)
{
    char subject[300];
    struct kafka_admin_fault fault;
    const struct kafka_admin_new_topic wanted = {
        .name = topic->name,
        .partitions = check->run->options->partitions,
        .replication = check->run->options->replication,
        .settings = check_topic_settings(topic->kind),
    };
    subject_of(subject, "topic", topic->name);
    if (kafka_admin_create_topic(check->admin, &wanted, soon(check), &fault)) {
        check_report_add(&check->found, CHECK_OK, area, subject, "created");
        return true;
    }
    check_report_add(
        &check->found, CHECK_FAIL, area, subject, "it could not be created: %s", fault.reason);
    check_report_advise(&check->found, "let the cluster's operator create it");
    return false;
}

static void add_absence(struct check_kafka *check, const struct check_topic_need *topic)
{
    char subject[300];
    struct kafka_admin_fault fault;
    subject_of(subject, "topic", topic->name);
    kafka_admin_why_unseen(check->admin, topic->name, soon(check), &fault);
    if (fault.verdict == KAFKA_ADMIN_DENIED) {
        add_denial(check, subject, "it may not be seen by this client, if it exists");
    } else if (fault.verdict == KAFKA_ADMIN_MISSING) {
        check_report_add(&check->found, CHECK_FAIL, area, subject, "it does not exist");
        check_report_advise(&check->found, "terra-connect check --create-topics");
    } else {
        check_report_add(
            &check->found, CHECK_FAIL, area, subject, "it cannot be looked at: %s", fault.reason);
        check_report_advise(&check->found, "try again");
    }
}

/* Looks again until the topic can be seen; the cluster answers from what each broker knows. */
static bool await_topic(struct check_kafka *check, const char *name)
{
    struct kafka_admin_fault fault;
    int64_t deadline_us = soon(check);
    while (!kafka_admin_cluster_find(&check->cluster, name)) {
        if (clock_monotonic_us() >= deadline_us)
            return false;
        nanosleep(&(struct timespec){.tv_nsec = LOOK_PAUSE_NS}, NULL);
        kafka_admin_cluster_release(&check->cluster);
        if (!kafka_admin_look(check->admin, deadline_us, &check->cluster, &fault))
            return false;
    }
    return true;
}

static void find_topics(struct check_kafka *check)
{
    const struct check_needs *needs = check->run->needs;
    for (size_t i = 0; i < needs->topic_count; i++) {
        const struct check_topic_need *topic = &needs->topics[i];
        bool there = kafka_admin_cluster_find(&check->cluster, topic->name) != NULL;
        if (!there && check->run->options->create_topics && !create(check, topic))
            continue;
        if (there || (check->run->options->create_topics && await_topic(check, topic->name))) {
            check->names[check->present_count] = topic->name;
            check->present[check->present_count++] = topic;
        } else {
            add_absence(check, topic);
        }
    }
}

/* ---- topics: what they are like ---- */

static void on_settings(void *context, size_t index, kafka_admin_setting_of *setting_of,
    const void *settings, const struct kafka_admin_fault *fault)
{
    struct check_kafka *check = context;
    const struct check_topic_need *need = check->present[index];
    const struct kafka_admin_topic *topic = kafka_admin_cluster_find(&check->cluster, need->name);
    assert(topic);
    const struct check_topic_facts facts = {
        .name = topic->name,
        .partitions = topic->partitions,
        .leaderless = topic->leaderless,
        .replicas_least = topic->replicas_least,
        .in_sync_least = topic->in_sync_least,
        .untold = fault->verdict == KAFKA_ADMIN_OK ? NULL : fault->reason,
        .cleanup_policy = setting_of(settings, "cleanup.policy"),
        .retention_ms = setting_of(settings, "retention.ms"),
        .delete_retention_ms = setting_of(settings, "delete.retention.ms"),
        .timestamp_type = setting_of(settings, "message.timestamp.type"),
        .min_insync_replicas = setting_of(settings, "min.insync.replicas"),
    };
    check_topic_judge(
        need->kind, &facts, check->run->config->kafka_bootstrap_servers, &check->found);
}

static int partitions_of(const struct check_kafka *check, const char *name)
{
    const struct kafka_admin_topic *topic = kafka_admin_cluster_find(&check->cluster, name);
    return topic ? topic->partitions : 0;
}

/* One partition has one leader, and the services that wait share it. */
static void compare_replies(struct check_kafka *check)
{
    char subject[300];
    const struct config *config = check->run->config;
    int requests = partitions_of(check, config->connect_requests_topic);
    int replies = partitions_of(check, config->connect_replies_topic);
    if (!check->run->options->flows.connect || replies != 1 || requests <= replies)
        return;
    subject_of(subject, "topic", config->connect_replies_topic);
    check_report_add(&check->found, CHECK_WARN, area, subject,
        "one partition, while requests come on %d: all replies go through one broker, and every "
        "service reads all of them",
        requests);
    check_report_advise(&check->found,
        "kafka-topics --bootstrap-server %s --alter --topic %s --partitions %d",
        config->kafka_bootstrap_servers, config->connect_replies_topic, requests);
}

/* ---- what this client may do ---- */

static void judge_rights(struct check_kafka *check, const struct check_topic_need *need,
    const struct kafka_admin_rights *rights)
{
    char subject[300];
    subject_of(subject, "topic", need->name);
    if (rights->fault.verdict == KAFKA_ADMIN_DENIED)
        add_denial(check, subject, rights->fault.reason);
    if (rights->fault.verdict != KAFKA_ADMIN_OK)
        return;
    if (need->read && !rights->read)
        add_denial(check, subject, "this client may not read it");
    if (need->write && !rights->write)
        add_denial(check, subject, "this client may not write to it");
    if ((!need->read || rights->read) && (!need->write || rights->write))
        check_report_add(&check->found, CHECK_OK, area, subject, "this client may %s it",
            need->read && need->write ? "read and write"
            : need->read              ? "read"
                                      : "write");
}

static void check_rights(struct check_kafka *check)
{
    struct kafka_admin_rights rights[CHECK_TOPIC_KIND_COUNT];
    kafka_admin_topic_rights(check->admin, check->names, check->present_count, soon(check), rights);
    for (size_t i = 0; i < check->present_count; i++)
        judge_rights(check, check->present[i], &rights[i]);
    for (size_t i = 0; i < check->present_count; i++) {
        enum kafka_admin_verdict verdict = rights[i].fault.verdict;
        if (verdict == KAFKA_ADMIN_OK || verdict == KAFKA_ADMIN_DENIED)
            continue;
        check_report_add(&check->found, CHECK_WARN, area, "permissions",
            "whether this client may read and write its topics cannot be told without doing so: %s",
            rights[i].fault.reason);
        check_report_advise(&check->found, "where the cluster has ACLs compare them with --acls");
        return;
    }
}

/* ---- reply topics ---- */

/* "a, b and 3 more": existing topics that a request may name for its reply. */
static void list_reply_topics(
    const struct check_kafka *check, const struct reply_address_rules *rules, struct buf *list)
{
    size_t matching = 0;
    for (size_t i = 0; i < check->cluster.topic_count; i++) {
        const char *name = check->cluster.topics[i].name;
        if (!reply_address_rules_allow(rules, name))
            continue;
        if (++matching <= REPLY_TOPICS_SHOWN)
            buf_printf(list, "%s%s", matching > 1 ? ", " : "", name);
    }
    if (matching > REPLY_TOPICS_SHOWN)
        buf_printf(list, " and %zu more", matching - REPLY_TOPICS_SHOWN);
    if (matching == 0)
        buf_append_text(list, "none yet");
}

static void check_reply_topics(struct check_kafka *check)
{
    const struct config *config = check->run->config;
    char error[256];
    struct buf list;
    if (!check->run->options->flows.connect)
        return;
    struct reply_address_rules *rules = reply_address_rules_new(
        config->connect_replies_topic, config->reply_topics_allowed, error, sizeof error);
    assert(rules); /* else the settings were refused */
    buf_init(&list, REPLY_TOPICS_SHOWN * (KAFKA_TOPIC_NAME_SIZE + 2) + 64);
    list_reply_topics(check, rules, &list);
    check_report_add(&check->found, CHECK_OK, area, "reply topics",
        "allowed: %s%s%s; there are: %s", config->connect_replies_topic,
        text_empty(config->reply_topics_allowed) ? "" : ", ", config->reply_topics_allowed,
        buf_text(&list));
    buf_release(&list);
    reply_address_rules_free(rules);
}

/* ---- groups and transactions ---- */

static void judge_group(struct check_kafka *check, const char *name,
    const struct kafka_admin_fault *fault, const struct kafka_admin_rights *rights)
{
    char subject[300];
    subject_of(subject, "group", name);
    bool told = rights->fault.verdict == KAFKA_ADMIN_OK;
    if (fault->verdict == KAFKA_ADMIN_DENIED) {
        add_denial(check, subject, "this client may not even see it");
    } else if (fault->verdict != KAFKA_ADMIN_OK) {
        check_report_add(&check->found, CHECK_FAIL, area, subject,
            "its coordinator cannot be asked: %s", fault->reason);
        check_report_advise(&check->found, "look at the brokers and __consumer_offsets");
    } else if (told && !rights->read) {
        add_denial(check, subject, "this client may see it and not join it");
    } else {
        check_report_add(&check->found, CHECK_OK, area, subject, "this client may %s",
            told ? "join it" : "see it; whether it may join cannot be told without joining");
    }
}

static void check_groups(struct check_kafka *check)
{
    const struct check_needs *needs = check->run->needs;
    for (size_t i = 0; i < needs->group_count; i++) {
        struct kafka_admin_fault fault;
        struct kafka_admin_rights rights;
        kafka_admin_group_rights(check->admin, check->properties, check->property_count,
            needs->groups[i].name, needs->groups[i].topic, soon(check), &fault, &rights);
        judge_group(check, needs->groups[i].name, &fault, &rights);
    }
}

static void check_transactions(struct check_kafka *check)
{
    static const char subject[] = "transactions";
    char id[300];
    struct kafka_admin_fault fault;
    const char *prefix = check->run->needs->transactional_prefix;
    if (text_empty(prefix))
        return;
    /* Of no use to anybody else, so that no worker is fenced off. */
    snprintf(id, sizeof id, "%scheck-%016llx", prefix, (unsigned long long)backoff_random());
    kafka_admin_try_transactions(check->properties, check->property_count, id, soon(check), &fault);
    if (fault.verdict == KAFKA_ADMIN_OK) {
        check_report_add(&check->found, CHECK_OK, area, subject,
            "this client may use transactional ids that begin with %s", prefix);
    } else if (fault.verdict == KAFKA_ADMIN_DENIED) {
        add_denial(check, subject, "this client may not use the transactional ids of its group");
    } else {
        check_report_add(&check->found, CHECK_FAIL, area, subject,
            "a transactional producer cannot begin: %s", fault.reason);
        check_report_advise(&check->found,
            "check that the cluster has transactions, or set EVENTS_DELIVERY=at_least_once");
    }
}

/* ---- the order of it all ---- */

static void ask(struct check_kafka *check)
{
    char error[KAFKA_ADMIN_REASON_SIZE];
    check->property_count = command_kafka_properties(check->run->config, NULL, check->properties);
    if (kafka_admin_new(check->properties, check->property_count, &check->admin, error,
            sizeof error) != RESULT_OK) {
        check_report_add(&check->found, CHECK_FAIL, area, "properties", "%s", error);
        check_report_advise(&check->found, "correct the KAFKA_… setting of that property");
        return;
    }
    if (!look(check))
        return;
    find_topics(check);
    kafka_admin_topic_settings(
        check->admin, check->names, check->present_count, soon(check), on_settings, check);
    compare_replies(check);
    check_rights(check);
    check_reply_topics(check);
    check_groups(check);
    check_transactions(check);
}

static void ask_on_pool(uv_work_t *work)
{
    struct check_kafka *check = work->data;
    ask(check);
    kafka_admin_cluster_release(&check->cluster);
    kafka_admin_free(check->admin);
}

static void on_asked(uv_work_t *work, int status)
{
    (void)status;
    struct check_kafka *check = work->data;
    check_report_take(check->report, &check->found);
    for (size_t i = 0; i < check->present_count; i++) {
        if (check->present[i]->kind == CHECK_TOPIC_RAW_EVENTS)
            check->raw = check_raw_new(check->run, check->report);
    }
}

struct check_kafka *check_kafka_new(const struct check_run *run, struct check_report *report)
{
    struct check_kafka *check = memory_new(sizeof *check);
    check->run = run;
    check->report = report;
    check->work.data = check;
    int result = uv_queue_work(run->loop, &check->work, ask_on_pool, on_asked);
    assert(result == 0);
    (void)result;
    return check;
}

bool check_kafka_was_denied(const struct check_kafka *check)
{
    return check->denied;
}

void check_kafka_free(struct check_kafka *check)
{
    if (!check)
        return;
    check_raw_free(check->raw);
    check_report_release(&check->found);
    free(check);
}
