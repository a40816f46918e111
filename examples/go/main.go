// Asks for an auth link and waits for it.
//
//	KAFKA_BOOTSTRAP_SERVERS=… go run . patient-0042
package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

type reply struct {
	Status string `json:"status"`
	Link   string `json:"link"`
	Error  struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

func requestLink(ctx context.Context, client *kgo.Client, replies, referenceID string) (*reply, error) {
	correlation := make([]byte, 16)
	if _, err := rand.Read(correlation); err != nil {
		return nil, err
	}
	value, _ := json.Marshal(map[string]any{"reference_id": referenceID, "timeout_seconds": 30})
	request := &kgo.Record{
		Topic: "terra.connect.requests",
		Key:   []byte(referenceID),
		Value: value,
		Headers: []kgo.RecordHeader{
			{Key: "correlation-id", Value: correlation},
			{Key: "reply-to", Value: []byte(replies)},
		},
	}
	if err := client.ProduceSync(ctx, request).FirstErr(); err != nil {
		return nil, err
	}
	for {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("no reply; is a worker running?")
		}
		for iterator := fetches.RecordIter(); !iterator.Done(); {
			record := iterator.Next()
			for _, header := range record.Headers {
				if header.Key == "correlation-id" && string(header.Value) == string(correlation) {
					answer := new(reply)
					return answer, json.Unmarshal(record.Value, answer)
				}
			}
		}
	}
}

func main() {
	replies := os.Getenv("REPLY_TOPIC")
	if replies == "" {
		replies = "terra.connect.replies"
	}
	// Every partition, from what is written from now on. A real service keeps one client for all its requests.
	client, err := kgo.NewClient(
		kgo.SeedBrokers(strings.Split(os.Getenv("KAFKA_BOOTSTRAP_SERVERS"), ",")...),
		kgo.ConsumeTopics(replies),
		kgo.ConsumeResetOffset(kgo.NewOffset().AfterMilli(time.Now().UnixMilli())),
	)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()

	answer, err := requestLink(ctx, client, replies, os.Args[1])
	if err == nil && answer.Status != "success" {
		err = fmt.Errorf("%s: %s", answer.Error.Code, answer.Error.Message)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(answer.Link)
}
