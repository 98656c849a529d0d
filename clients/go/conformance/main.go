// Command conformance runs clients/conformance.json with this client: `conformance FILE WORLD` prints the results as
// JSON.
//
// WORLD is JSON: {run, tokens, servers: {name: {tcp, ca?}}}. Results are compared by who starts this. The line
// `restart NAME` asks for a server to be killed and started; a line on stdin says that it is up again.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"eventstreamcore/clients/go/esc"
)

type world struct {
	Run     string
	Tokens  map[string]string
	Servers map[string]struct{ TCP, CA string }
}

type conformance struct {
	Encode []struct {
		Name          string
		Event         writtenEvent
		MaxFrameBytes int `json:"max_frame_bytes"`
	}
	Decode []struct{ Name, Hex string }
	Live   []scenario
}

// writtenEvent is an event as the file writes it.
type writtenEvent struct {
	Topic        string
	TopicTimes   *int `json:"topic_times"`
	Priority     int
	Payload      string
	PayloadHex   *string `json:"payload_hex"`
	PayloadTimes *int    `json:"payload_times"`
	ID           *string
	TimeUs       *int64 `json:"time_us"`
	Key          *string
	// Headers are name, value, and how many times the value is repeated.
	Headers [][]any
	CRC     bool
}

type scenario struct {
	Name, Server, Transport string
	Steps                   []step
}

type step struct {
	Do, Client, Token, Topic, IDs, Consumer string
	Acks                                    esc.Acks
	Reconnect, Confirm                      bool
	InFlight                                int `json:"in_flight"`
	MaxInFlight                             int `json:"max_in_flight"`
	Event                                   writtenEvent
	Priority                                *int
	First                                   *int
	Count                                   int
	Show, Topics                            []string
	From                                    json.RawMessage
	Until                                   *string
}

func main() {
	var file conformance
	var where world
	text, err := os.ReadFile(os.Args[1])
	if err == nil {
		err = json.Unmarshal(text, &file)
	}
	if err == nil {
		err = json.Unmarshal([]byte(os.Args[2]), &where)
	}
	if err != nil {
		log.Fatal(err)
	}
	results := map[string]any{}
	for _, one := range file.Encode {
		results["encode: "+one.Name] = encoded(one.Event, one.MaxFrameBytes)
	}
	for _, one := range file.Decode {
		results["decode: "+one.Name] = decoded(one.Hex)
	}
	for _, one := range file.Live {
		if _, isThere := where.Servers[one.Server]; isThere && (one.Transport == "" || one.Transport == "tcp") {
			results["live: "+one.Name] = newPlay(one, where).run()
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(results); err != nil {
		log.Fatal(err)
	}
}

func encoded(written writtenEvent, limit int) string {
	if limit == 0 {
		limit = esc.MaxFrameBytes
	}
	// An empty id cannot be said in Go: it means that there is none.
	if written.ID != nil && *written.ID == "" {
		return "refused"
	}
	frame, err := esc.AppendEvent(nil, eventOf(written), limit)
	if err != nil {
		return "refused"
	}
	if len(frame) <= 2048 {
		return hex.EncodeToString(frame)
	}
	return fmt.Sprintf("%d: %x..%x", len(frame), frame[:16], frame[len(frame)-16:])
}

func decoded(text string) any {
	payload, err := hex.DecodeString(text)
	if err != nil {
		log.Fatal(err)
	}
	subscription, events, err := esc.DecodeEvents(payload)
	if err != nil {
		return "refused"
	}
	shown := []any{}
	for _, event := range events {
		shown = append(shown, fieldsOf(event))
	}
	return map[string]any{"subscription": subscription, "events": shown}
}

func fieldsOf(event esc.ReceivedEvent) map[string]any {
	fields := map[string]any{
		"lane": event.Lane, "shard": event.Shard, "offset": event.Offset, "received_us": event.Received.UnixMicro(),
		"topic": event.Topic, "priority": event.Priority, "payload_hex": hex.EncodeToString(event.Payload),
	}
	if event.ID != "" {
		fields["id"] = event.ID
	}
	if !event.Time.IsZero() {
		fields["time_us"] = event.Time.UnixMicro()
	}
	if event.Key != nil {
		fields["key"] = string(event.Key)
	}
	if len(event.Headers) > 0 {
		var headers [][]string
		for _, header := range event.Headers {
			headers = append(headers, []string{header.Name, header.Value})
		}
		fields["headers"] = headers
	}
	return fields
}

func eventOf(written writtenEvent) esc.Event {
	event := esc.Event{Topic: repeated(written.Topic, written.TopicTimes), Priority: written.Priority, CRC: written.CRC}
	event.Payload = []byte(repeated(written.Payload, written.PayloadTimes))
	if written.PayloadHex != nil {
		event.Payload, _ = hex.DecodeString(*written.PayloadHex)
	}
	if written.ID != nil {
		event.ID = *written.ID
	}
	if written.TimeUs != nil {
		event.Time = time.UnixMicro(*written.TimeUs)
	}
	if written.Key != nil {
		event.Key = []byte(*written.Key)
	}
	for _, header := range written.Headers {
		name, _ := header[0].(string)
		value, _ := header[1].(string)
		if len(header) == 3 {
			times, _ := header[2].(float64)
			value = strings.Repeat(value, int(times))
		}
		event.Headers = append(event.Headers, esc.Header{Name: name, Value: value})
	}
	return event
}

func repeated(text string, times *int) string {
	if times == nil {
		return text
	}
	return strings.Repeat(text, *times)
}

// play is one scenario on its way.
type play struct {
	scenario      scenario
	world         world
	clients       map[string]*esc.Client
	subscriptions map[string]*esc.Subscription
	last          time.Time

	lock    sync.Mutex
	refused map[string][][2]any
}

func newPlay(scenario scenario, world world) *play {
	return &play{
		scenario: scenario, world: world,
		clients:       map[string]*esc.Client{},
		subscriptions: map[string]*esc.Subscription{},
		refused:       map[string][][2]any{},
	}
}

// run returns what the steps have to say, in their order.
func (p *play) run() []any {
	said := []any{}
	defer func() {
		for _, client := range p.clients {
			client.Abort()
		}
	}()
	ctx := context.Background()
	for _, step := range p.scenario.Steps {
		if step.Client == "" {
			step.Client = "a"
		}
		result, err := p.take(ctx, step)
		var own *esc.Error
		if errors.As(err, &own) {
			result = map[string]string{"error": own.Code}
		} else if err != nil {
			log.Fatalf("%s: %s: %v", p.scenario.Name, step.Do, err)
		}
		if result != nil {
			said = append(said, result)
		}
	}
	return said
}

func (p *play) take(ctx context.Context, step step) (any, error) {
	client := p.clients[step.Client]
	switch step.Do {
	case "connect":
		return p.connect(ctx, step)
	case "publish":
		return nil, p.publish(ctx, client, step)
	case "event":
		event := eventOf(step.Event)
		event.Topic, event.ID = p.text(event.Topic), p.text(event.ID)
		_, err := client.Publish(ctx, event)
		return nil, err
	case "flush":
		return account(client.Counts, step.Show, client.Flush(ctx))
	case "refusals":
		p.lock.Lock()
		defer p.lock.Unlock()
		return p.refused[step.Client], nil
	case "subscribe":
		return nil, p.subscribe(ctx, client, step)
	case "collect":
		return p.collect(ctx, p.subscriptions[step.Client], step)
	case "close":
		return nil, client.Close(ctx)
	case "restart":
		fmt.Println("restart", p.scenario.Server)
		return nil, nil
	case "restarted":
		_, err := bufio.NewReader(os.Stdin).ReadString('\n')
		return nil, err
	}
	return nil, fmt.Errorf("unknown step")
}

func (p *play) connect(ctx context.Context, step step) (any, error) {
	place := p.world.Servers[p.scenario.Server]
	options := esc.Options{
		Address: place.TCP, Token: p.world.Tokens[step.Token], Acks: step.Acks,
		NoReconnect: !step.Reconnect, WindowEvents: step.InFlight,
		OnRefused: func(refusal esc.Refusal) {
			p.lock.Lock()
			defer p.lock.Unlock()
			for at := uint64(0); at < refusal.Count; at++ {
				p.refused[step.Client] = append(p.refused[step.Client], [2]any{refusal.Code, refusal.Seq + at})
			}
		},
	}
	if place.CA != "" {
		authorities := x509.NewCertPool()
		authorities.AppendCertsFromPEM([]byte(place.CA))
		options.TLS = &tls.Config{RootCAs: authorities}
	}
	client, err := esc.Connect(ctx, options)
	if err != nil {
		return nil, err
	}
	p.clients[step.Client] = client
	return "connected", nil
}

func (p *play) publish(ctx context.Context, client *esc.Client, step step) error {
	first, priority := 1, esc.Medium
	if step.First != nil {
		first = *step.First
	}
	if step.Priority != nil {
		priority = *step.Priority
	}
	for number := first; number < first+step.Count; number++ {
		event := esc.Event{Topic: p.text(step.Topic), Payload: []byte(strconv.Itoa(number)), Priority: priority}
		if step.IDs != "" {
			event.ID = p.text(step.IDs) + strconv.Itoa(number)
		}
		if _, err := client.Publish(ctx, event); err != nil {
			return err
		}
	}
	return nil
}

func account(countsOf func() esc.Counts, show []string, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	counts := countsOf()
	all := map[string]uint64{
		"answered": counts.Answered, "refused": counts.Refused, "duplicates": counts.Duplicates,
	}
	if show == nil {
		show = []string{"answered", "refused"}
	}
	shown := map[string]uint64{}
	for _, name := range show {
		shown[name] = all[name]
	}
	return shown, nil
}

func (p *play) subscribe(ctx context.Context, client *esc.Client, step step) error {
	options := esc.Subscribe{Consumer: p.text(step.Consumer), MaxInFlight: step.MaxInFlight, From: p.from(step.From)}
	for _, topic := range step.Topics {
		options.Topics = append(options.Topics, p.text(topic))
	}
	subscription, err := client.Subscribe(ctx, options)
	p.subscriptions[step.Client] = subscription
	return err
}

func (p *play) from(text json.RawMessage) esc.From {
	var place struct {
		AfterLast bool `json:"after_last"`
		Offsets   map[string]uint64
	}
	switch {
	case string(text) == `"latest"`:
		return esc.Latest
	case json.Unmarshal(text, &place) != nil:
		return esc.Earliest
	case place.AfterLast:
		return esc.FromTime(p.last.Add(time.Microsecond))
	}
	return esc.FromOffsets(place.Offsets, esc.Earliest)
}

func (p *play) collect(ctx context.Context, subscription *esc.Subscription, step step) (any, error) {
	var payloads []string
	for step.Count == 0 || len(payloads) < step.Count {
		event, err := subscription.Next(ctx)
		if err != nil {
			return nil, err
		}
		p.last = event.Received
		if step.Until != nil && string(event.Payload) == *step.Until {
			break
		}
		payloads = append(payloads, string(event.Payload))
	}
	if step.Confirm {
		subscription.Confirm()
	}
	return inShort(payloads), nil
}

func (p *play) text(text string) string { return strings.ReplaceAll(text, "{run}", p.world.Run) }

// inShort writes 1..5 for consecutive numbers: `1..5 7 x`.
func inShort(payloads []string) string {
	var parts []string
	for at := 0; at < len(payloads); {
		end := at + 1
		first, err := strconv.Atoi(payloads[at])
		for err == nil && end < len(payloads) && payloads[end] == strconv.Itoa(first+end-at) {
			end++
		}
		part := payloads[at]
		if end-at > 1 {
			part += ".." + payloads[end-1]
		}
		parts = append(parts, part)
		at = end
	}
	return strings.Join(parts, " ")
}
