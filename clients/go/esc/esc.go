// Package esc is a client of esc, in one file that needs the standard library only.
//
//	client, err := esc.Connect(ctx, esc.Options{Address: "127.0.0.1:9000", Acks: esc.Durable})
//	_, err = client.Publish(ctx, esc.Event{Topic: "orders.new", Payload: []byte("hello"), ID: "order-1"})
//	err = client.Flush(ctx)
//	orders, err := client.Subscribe(ctx, esc.Subscribe{Topics: []string{"orders.>"}, From: esc.Earliest})
//	event, err := orders.Next(ctx)
//	err = client.Close(ctx)
//
// The wire protocol is docs/protocol.md. What is published waits in a window until the server has answered for it: a
// broken connection is opened again, and what was not answered is sent again. Events with message ids are stored once
// all the same; those without may be stored twice. Subscriptions go on where they were.
//
//	answered ≤ sent ≤ published ≤ answered + WindowEvents
package esc

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand"
	"net"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// Acks says what the server answers for.
type Acks string

const (
	// None: nothing; events count as answered when the operating system has them.
	None Acks = "none"
	// Accepted: events are in the lane's queue.
	Accepted Acks = "accepted"
	// Durable: events are in the log, fsynced as the lane promises.
	Durable Acks = "durable"
)

// Priorities.
const (
	Batch = iota
	Low
	Medium
	High
	Critical
)

// MaxFrameBytes is the server's limit unless it says otherwise.
const MaxFrameBytes = 1 << 20

const (
	opHello = 1 + iota
	opWelcome
	opAck
	opError
	opSubscribe
	opEvents
	opConfirm
	opPing
	opPong
)

const (
	headControl, headExt, headCrc = 0x20, 0x40, 0x80

	tagID, tagTime, tagKey, tagHeader = 1, 2, 3, 4

	connectTimeout = 5 * time.Second
	answerTimeout  = 10 * time.Second
	confirmDelay   = 100 * time.Millisecond
	delayMax       = 5 * time.Second
	batchBytes     = 256 << 10
	// An EVENTS frame carries at least one event, and batches as the server finds practical: room for both.
	inboundBytesMax = 64 * MaxFrameBytes
	inboundBytesMin = 64 << 10
	timeMax         = 1<<53 - 1
)

// Error is a failure with one of esc's stable codes, such as UNAUTHORIZED or SERVER_UNREACHABLE.
type Error struct {
	Code    string
	Message string
	// Err is the cause, if there is one.
	Err error
}

func (e *Error) Error() string {
	if e.Err == nil {
		return e.Code + ": " + e.Message
	}
	return e.Code + ": " + e.Message + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Header is a name, not empty and without U+0000, and a value.
type Header struct{ Name, Value string }

// Event is an event to publish.
type Event struct {
	Topic   string
	Payload []byte
	// Priority is 0 to 4, Batch to Critical.
	Priority int
	// ID is the message id, 1 to 64 bytes; empty: none.
	ID string
	// Time is when it happened, in whole microseconds; the zero time: not said.
	Time time.Time
	// Key decides the shard, and so the order; nil: the topic does.
	Key     []byte
	Headers []Header
	// CRC asks for a checksum in the frame.
	CRC bool
}

// ReceivedEvent is an event and its place in the log. It is the receiver's to keep.
type ReceivedEvent struct {
	Event
	Lane   string
	Shard  int
	Offset uint64
	// Received is when the server received it.
	Received time.Time
}

// Refusal tells of events the server did not take: Count of them from number Seq on, as Publish numbered them.
type Refusal struct {
	Code, Message string
	Seq, Count    uint64
}

// AppendEvent appends the event's frame, length prefix included. The error has the code USAGE when no server with
// this max_frame_bytes would take it; nothing is appended then.
func AppendEvent(to []byte, event Event, maxFrameBytes int) ([]byte, error) {
	ext, err := extOf(event)
	if err != nil {
		return to, err
	}
	switch {
	case len(event.Topic) < 1 || len(event.Topic) > 255:
		return to, usage("Topic has %d bytes: it needs 1 to 255", len(event.Topic))
	case !utf8.ValidString(event.Topic):
		return to, usage("Topic is not UTF-8")
	case event.Priority < Batch || event.Priority > Critical:
		return to, usage("Priority %d is not from 0 to 4", event.Priority)
	}
	size := 3 + len(event.Topic) + len(event.Payload)
	head := byte(event.Priority)
	if len(ext) > 0 {
		head |= headExt
		size += 2 + len(ext)
	}
	if event.CRC {
		head |= headCrc
		size += 4
	}
	if size > maxFrameBytes {
		return to, usage("Event has %d bytes: the limit is %d", size, maxFrameBytes)
	}
	to = binary.BigEndian.AppendUint32(to, uint32(size))
	body := len(to)
	to = append(to, head)
	to = binary.BigEndian.AppendUint16(to, uint16(len(event.Topic)))
	to = append(to, event.Topic...)
	if len(ext) > 0 {
		to = binary.BigEndian.AppendUint16(to, uint16(len(ext)))
		to = append(to, ext...)
	}
	to = append(to, event.Payload...)
	if event.CRC {
		to = binary.BigEndian.AppendUint32(to, crc32.ChecksumIEEE(to[body:]))
	}
	return to, nil
}

func extOf(event Event) ([]byte, error) {
	if event.ID == "" && event.Time.IsZero() && event.Key == nil && len(event.Headers) == 0 {
		return nil, nil
	}
	var ext []byte
	tooLong := false
	entry := func(tag byte, value []byte) {
		tooLong = tooLong || len(value) > 0xffff
		ext = append(ext, tag)
		ext = binary.BigEndian.AppendUint16(ext, uint16(len(value)))
		ext = append(ext, value...)
	}
	if event.ID != "" {
		if len(event.ID) > 64 {
			return nil, usage("Message id has %d bytes: it needs 1 to 64", len(event.ID))
		}
		entry(tagID, []byte(event.ID))
	}
	if !event.Time.IsZero() {
		micros := event.Time.UnixMicro()
		if micros > timeMax || micros < -timeMax {
			return nil, usage("Event time %d is not below 2^53 microseconds", micros)
		}
		entry(tagTime, binary.BigEndian.AppendUint64(nil, uint64(micros)))
	}
	if event.Key != nil {
		if len(event.Key) == 0 {
			return nil, usage("Key is empty")
		}
		entry(tagKey, event.Key)
	}
	for _, header := range event.Headers {
		if header.Name == "" || strings.Contains(header.Name, "\x00") {
			return nil, usage("Header name %q is empty or contains U+0000", header.Name)
		}
		entry(tagHeader, []byte(header.Name+"\x00"+header.Value))
	}
	if tooLong || len(ext) > 0xffff {
		return nil, usage("Message id, key and headers together exceed 65,535 bytes")
	}
	return ext, nil
}

// DecodeEvents reads an EVENTS payload: its subscription and its events. The error has the code BAD_CONTROL.
func DecodeEvents(payload []byte) (string, []ReceivedEvent, error) {
	in := reader{bytes: payload}
	subscription := string(in.take(int(in.number(1))))
	lane := string(in.take(int(in.number(1))))
	shard := int(in.number(2))
	var events []ReceivedEvent
	for !in.isBad && len(in.bytes) > 0 {
		offset := in.number(8)
		in.number(4)
		received := time.UnixMicro(int64(in.number(8)))
		block := reader{bytes: in.take(int(in.number(4)))}
		for !in.isBad && len(block.bytes) > 0 {
			event, isGood := decodeEvent(block.take(int(block.number(4))))
			if block.isBad || !isGood {
				in.isBad = true
				break
			}
			event.Lane, event.Shard, event.Offset, event.Received = lane, shard, offset, received
			events = append(events, event)
			offset++
		}
	}
	if in.isBad {
		return "", nil, &Error{Code: "BAD_CONTROL", Message: "Server sent an EVENTS frame that cannot be read"}
	}
	return subscription, events, nil
}

func decodeEvent(body []byte) (ReceivedEvent, bool) {
	in := reader{bytes: body}
	head := byte(in.number(1))
	event := ReceivedEvent{Event: Event{
		Priority: int(head & 7),
		CRC:      head&headCrc != 0,
		Topic:    string(in.take(int(in.number(2)))),
	}}
	if head&headExt != 0 {
		ext := reader{bytes: in.take(int(in.number(2)))}
		for len(ext.bytes) > 0 && !ext.isBad {
			tag := ext.number(1)
			value := ext.take(int(ext.number(2)))
			switch {
			case ext.isBad:
			case tag == tagID:
				event.ID = string(value)
			case tag == tagTime && len(value) == 8:
				event.Time = time.UnixMicro(int64(binary.BigEndian.Uint64(value)))
			case tag == tagKey:
				event.Key = append([]byte{}, value...)
			case tag == tagHeader:
				name, text, _ := strings.Cut(string(value), "\x00")
				event.Headers = append(event.Headers, Header{name, text})
			}
		}
		in.isBad = in.isBad || ext.isBad
	}
	end := len(in.bytes)
	if event.CRC {
		end -= 4
	}
	if in.isBad || end < 0 {
		return event, false
	}
	event.Payload = append([]byte{}, in.bytes[:end]...)
	return event, true
}

// reader takes things off the front of bytes; isBad once something passed their end.
type reader struct {
	bytes []byte
	isBad bool
}

func (r *reader) take(count int) []byte {
	if r.isBad || count < 0 || count > len(r.bytes) {
		r.isBad = true
		return nil
	}
	taken := r.bytes[:count]
	r.bytes = r.bytes[count:]
	return taken
}

func (r *reader) number(size int) uint64 {
	var value uint64
	for _, one := range r.take(size) {
		value = value<<8 | uint64(one)
	}
	return value
}

// Options say where the server is and what is wanted of it.
type Options struct {
	// Address is the host and port of the TCP listener.
	Address string
	// Token is for a server with auth.
	Token string
	// Producer is a name for the server's logs.
	Producer string
	// Acks is Durable unless set.
	Acks Acks
	// TLS makes the client speak TLS.
	TLS *tls.Config
	// NoReconnect makes a broken connection the end of the client.
	NoReconnect bool
	// GiveUp is how long to try without a connection; 1 minute unless set.
	GiveUp time.Duration
	// WindowEvents and WindowBytes bound what is published and not answered; 65,536 and 4 MiB unless set.
	WindowEvents, WindowBytes int
	// OnRefused is called by the client's own goroutine: it must not wait for the client.
	OnRefused func(Refusal)
}

// Counts tell how far a client has come.
type Counts struct {
	// Answered includes the refused. Duplicates were stored before under their message id (Durable only).
	Published, Answered, Refused, Duplicates uint64
}

// Client is an open client. Its methods may be called from any goroutine.
type Client struct {
	options Options

	// lock guards everything down to the next blank line.
	lock sync.Mutex
	// changed is closed, and made anew, when something that is waited for may have happened.
	changed chan struct{}
	// frames are published and not answered; the first sentCount of them are sent.
	frames           [][]byte
	sentCount        int
	heldBytes        int
	controls         [][]byte
	counts           Counts
	base             uint64
	duplicatesBefore uint64
	failure          error
	isClosing        bool
	pings            []*ping
	subscriptions    map[string]*Subscription
	subscriptionsNum int
	subscribeRefusal error
	maxFrameBytes    int

	// work has something in it when the writer has something to look for.
	work chan struct{}
	// closing is closed by Abort, ended when the client's goroutine has ended.
	closing chan struct{}
	ended   chan struct{}
}

type ping struct{ isAnswered, isLost bool }

// Connect opens a client. The first connection is tried once, whatever the options say; ctx is for this only.
// The error has the code SERVER_UNREACHABLE, TIMEOUT, or that with which the server refused.
func Connect(ctx context.Context, options Options) (*Client, error) {
	if options.Acks == "" {
		options.Acks = Durable
	}
	if options.GiveUp == 0 {
		options.GiveUp = time.Minute
	}
	if options.WindowEvents == 0 {
		options.WindowEvents = 65_536
	}
	if options.WindowBytes == 0 {
		options.WindowBytes = 4 << 20
	}
	client := &Client{
		options:       options,
		changed:       make(chan struct{}),
		subscriptions: map[string]*Subscription{},
		maxFrameBytes: MaxFrameBytes,
		work:          make(chan struct{}, 1),
		closing:       make(chan struct{}),
		ended:         make(chan struct{}),
	}
	first, err := client.open(ctx)
	if err != nil {
		return nil, err
	}
	go client.run(first)
	return client, nil
}

// Publish takes one event for sending; it goes out at once, together with what else is there. It waits while the
// window is full. It returns the event's number, from 1, among all this client has taken: refusals name it.
func (c *Client) Publish(ctx context.Context, event Event) (uint64, error) {
	c.lock.Lock()
	defer c.lock.Unlock()
	frame, err := AppendEvent(nil, event, c.maxFrameBytes)
	if err != nil {
		return 0, err
	}
	if err := c.wait(ctx, c.hasRoom); err != nil {
		return 0, fmt.Errorf("publish: %w", err)
	}
	c.frames = append(c.frames, frame)
	c.heldBytes += len(frame)
	c.counts.Published++
	c.wake()
	return c.counts.Published, nil
}

// Flush waits until the server has answered for everything published so far; with None: until it has read
// everything, so that every refusal has been reported.
func (c *Client) Flush(ctx context.Context) error {
	c.lock.Lock()
	defer c.lock.Unlock()
	target := c.counts.Published
	err := c.wait(ctx, func() bool { return c.counts.Answered >= target })
	if err == nil && c.options.Acks == None {
		err = c.ping(ctx)
	}
	if err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	return nil
}

// Counts tells how far the client has come.
func (c *Client) Counts() Counts {
	c.lock.Lock()
	defer c.lock.Unlock()
	counts := c.counts
	counts.Duplicates += c.duplicatesBefore
	return counts
}

// Close waits until everything published is answered for, confirms what was handled, and closes. If that cannot be
// done before ctx ends, it closes all the same.
func (c *Client) Close(ctx context.Context) error {
	defer c.Abort()
	if err := c.Flush(ctx); err != nil {
		return err
	}
	c.lock.Lock()
	defer c.lock.Unlock()
	for _, subscription := range c.subscriptions {
		subscription.confirmHandled()
	}
	if len(c.subscriptions) == 0 {
		return nil
	}
	// Its answer says that the confirmations have been read.
	return c.ping(ctx)
}

// Abort closes at once; what was not answered may or may not have arrived.
func (c *Client) Abort() {
	c.lock.Lock()
	if !c.isClosing {
		c.isClosing = true
		close(c.closing)
	}
	c.lock.Unlock()
	<-c.ended
}

// From is where a subscription starts.
type From struct{ value any }

var (
	// Latest is the end of every shard.
	Latest = From{"latest"}
	// Earliest is the beginning of every shard.
	Earliest = From{"earliest"}
)

// FromTime starts at events received at this time or later.
func FromTime(at time.Time) From {
	return From{map[string]any{"time_us": at.UnixMicro()}}
}

// FromOffsets starts at these offsets, by "lane/shard", and in all other shards at others.
func FromOffsets(offsets map[string]uint64, others From) From {
	return From{map[string]any{"offsets": offsets, "others": others.orLatest()}}
}

func (f From) orLatest() any {
	if f.value == nil {
		return Latest.value
	}
	return f.value
}

// Subscribe says which events are wanted.
type Subscribe struct {
	// Topics are patterns; one match is enough.
	Topics []string
	// From is Latest unless set.
	From From
	// Consumer names a durable consumer: the server stores how far it has come, and that wins over From.
	Consumer string
	// MaxInFlight is the most events received and not handled; 1,000 unless set.
	MaxInFlight int
	// Lanes to read; nil: all but the dead letters.
	Lanes []string
}

// Subscription gives events one by one; for one goroutine at a time. An event counts as handled when the next one is
// asked for. What was handled is confirmed to the server, and a durable consumer goes on behind it.
type Subscription struct {
	client  *Client
	id      string
	options Subscribe

	// Guarded by the client's lock. At most MaxInFlight events wait: the server sends no more unconfirmed.
	waiting     []ReceivedEvent
	askedMicros int64
	// By "lane/shard": the next offset wanted, and those behind what was taken out and what was handled.
	next, taken, handled map[string]uint64
	given                *ReceivedEvent
	unconfirmed          int
	isClosed             bool
}

// Subscribe begins to receive events. The error has the server's code when it refuses.
func (c *Client) Subscribe(ctx context.Context, options Subscribe) (*Subscription, error) {
	if options.MaxInFlight == 0 {
		options.MaxInFlight = 1_000
	}
	c.lock.Lock()
	defer c.lock.Unlock()
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("subscribe: %w", err)
	}
	c.subscriptionsNum++
	subscription := &Subscription{
		client:  c,
		id:      fmt.Sprintf("s%d", c.subscriptionsNum),
		options: options,
		next:    map[string]uint64{},
		taken:   map[string]uint64{},
		handled: map[string]uint64{},
	}
	c.subscriptions[subscription.id] = subscription
	c.subscribeRefusal = nil
	c.sendJSON(opSubscribe, subscription.request())
	// The server opens a subscription after it has dealt with what arrived together with the request, the first PING
	// included. So its refusal lies between the first PONG and the second.
	err := c.ping(ctx)
	if err == nil {
		err = c.ping(ctx)
	}
	if err == nil {
		err = c.subscribeRefusal
	}
	if err != nil {
		subscription.leave()
		return nil, fmt.Errorf("subscribe: %w", err)
	}
	return subscription, nil
}

// Next waits for the next event. It fails with io.EOF after Close, with the error of ctx, or with why the client has
// failed, once all that was received before is taken out.
func (s *Subscription) Next(ctx context.Context) (*ReceivedEvent, error) {
	c := s.client
	c.lock.Lock()
	defer c.lock.Unlock()
	s.noteHandled()
	confirmAt := time.Now().Add(confirmDelay)
	for len(s.waiting) == 0 {
		if s.isClosed {
			return nil, io.EOF
		}
		if err := c.check(); err != nil {
			return nil, fmt.Errorf("next event: %w", err)
		}
		var late <-chan time.Time
		if s.unconfirmed > 0 {
			timer := time.NewTimer(time.Until(confirmAt))
			defer timer.Stop()
			late = timer.C
		}
		changed := c.changed
		c.lock.Unlock()
		select {
		case <-changed:
			c.lock.Lock()
		case <-late:
			c.lock.Lock()
			s.confirmHandled()
		case <-ctx.Done():
			c.lock.Lock()
			return nil, ctx.Err()
		}
	}
	given := s.waiting[0]
	s.waiting[0] = ReceivedEvent{}
	s.waiting = s.waiting[1:]
	s.given = &given
	s.taken[given.shardKey()] = given.Offset + 1
	return &given, nil
}

// Confirm says that everything given so far is handled, and tells the server now.
func (s *Subscription) Confirm() {
	s.client.lock.Lock()
	defer s.client.lock.Unlock()
	s.noteHandled()
	s.confirmHandled()
}

// Close ends the subscription. The event given last counts as not handled: call Confirm before, if it is.
func (s *Subscription) Close() {
	s.client.lock.Lock()
	defer s.client.lock.Unlock()
	s.confirmHandled()
	s.leave()
	s.client.broadcast()
}

// Everything below is called with the lock held, until it is said otherwise.

func (s *Subscription) leave() {
	s.isClosed = true
	s.waiting = nil
	delete(s.client.subscriptions, s.id)
}

func (s *Subscription) request() map[string]any {
	from := s.options.From.orLatest()
	if s.askedMicros == 0 {
		s.askedMicros = time.Now().UnixMicro()
	} else {
		// What waits here unseen comes again: were it kept, it would be more with every broken connection.
		s.waiting = nil
		s.next = map[string]uint64{}
		for key, offset := range s.taken {
			s.next[key] = offset
		}
		from = s.goOn(from)
	}
	request := map[string]any{
		"id": s.id, "topics": s.options.Topics, "from": from, "max_in_flight": s.options.MaxInFlight,
	}
	if s.options.Consumer != "" {
		request["consumer"] = s.options.Consumer
	}
	if s.options.Lanes != nil {
		request["lanes"] = s.options.Lanes
	}
	return request
}

// goOn is where to go on. Shards that have given nothing yet go on as they began; at the end, as it was at first.
func (s *Subscription) goOn(from any) any {
	offsets := map[string]uint64{}
	others := from
	if fields, isMap := from.(map[string]any); isMap && fields["offsets"] != nil {
		asked, _ := fields["offsets"].(map[string]uint64)
		for key, offset := range asked {
			offsets[key] = offset
		}
		others = fields["others"]
	}
	if others == Latest.value {
		others = map[string]any{"time_us": s.askedMicros}
	}
	for key, offset := range s.taken {
		offsets[key] = offset
	}
	return map[string]any{"offsets": offsets, "others": others}
}

func (s *Subscription) take(events []ReceivedEvent) {
	for _, event := range events {
		key := event.shardKey()
		// A durable consumer that reconnects is sent again what was not confirmed, and what is sent has to be.
		if event.Offset < s.next[key] {
			s.unconfirmed++
			continue
		}
		s.next[key] = event.Offset + 1
		s.waiting = append(s.waiting, event)
	}
}

func (s *Subscription) noteHandled() {
	if s.given == nil {
		return
	}
	s.handled[s.given.shardKey()] = s.given.Offset + 1
	s.given = nil
	s.unconfirmed++
	if 2*s.unconfirmed >= s.options.MaxInFlight {
		s.confirmHandled()
	}
}

func (s *Subscription) confirmHandled() {
	if s.unconfirmed > 0 && !s.isClosed {
		s.unconfirmed = 0
		s.client.sendJSON(opConfirm, map[string]any{"id": s.id, "offsets": s.handled})
	}
}

func (e *ReceivedEvent) shardKey() string { return fmt.Sprintf("%s/%d", e.Lane, e.Shard) }

func (c *Client) hasRoom() bool {
	held := len(c.frames)
	return held == 0 || (held < c.options.WindowEvents && c.heldBytes < c.options.WindowBytes)
}

func (c *Client) check() error {
	if c.failure != nil {
		return c.failure
	}
	if c.isClosing {
		return errClosed
	}
	return nil
}

var errClosed = &Error{Code: "SERVER_UNREACHABLE", Message: "The client is closed"}

// wait lets go of the lock while it waits. It fails when the client or ctx does.
func (c *Client) wait(ctx context.Context, isDone func() bool) error {
	for {
		if err := c.check(); err != nil {
			return err
		}
		if isDone() {
			return nil
		}
		changed := c.changed
		c.lock.Unlock()
		select {
		case <-changed:
			c.lock.Lock()
		case <-ctx.Done():
			c.lock.Lock()
			return ctx.Err()
		}
	}
}

func (c *Client) broadcast() {
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *Client) wake() {
	select {
	case c.work <- struct{}{}:
	default: // It will look anyway.
	}
}

func (c *Client) sendJSON(opcode byte, value any) {
	payload, err := json.Marshal(value)
	if err != nil {
		panic(err) // Maps of strings and numbers only.
	}
	c.controls = append(c.controls, controlFrame(opcode, payload))
	c.wake()
}

// ping waits for an answer of the server, on as many connections as that takes.
func (c *Client) ping(ctx context.Context) error {
	for {
		if err := c.check(); err != nil {
			return err
		}
		one := &ping{}
		c.pings = append(c.pings, one)
		c.controls = append(c.controls, controlFrame(opPing, []byte("?")))
		c.wake()
		if err := c.wait(ctx, func() bool { return one.isAnswered || one.isLost }); err != nil {
			return err
		}
		if one.isAnswered {
			return nil
		}
	}
}

// release frees what is answered for.
func (c *Client) release(count uint64) error {
	if count > uint64(c.sentCount) {
		return &Error{Code: "BAD_CONTROL", Message: "Server acknowledged more events than were sent"}
	}
	for _, frame := range c.frames[:count] {
		c.heldBytes -= len(frame)
	}
	c.frames = c.frames[count:]
	c.sentCount -= int(count)
	c.counts.Answered += count
	c.broadcast()
	return nil
}

// fill gathers the next batch into to, and says how many events are in it.
func (c *Client) fill(to []byte) ([]byte, int) {
	for _, control := range c.controls {
		to = append(to, control...)
	}
	c.controls = nil
	count := 0
	for len(to) < batchBytes && c.sentCount < len(c.frames) {
		to = append(to, c.frames[c.sentCount]...)
		c.sentCount++
		count++
	}
	return to, count
}

// Everything below is the client's own goroutines', and called without the lock.

func (c *Client) run(conn *connection) {
	var err error
	for {
		err = c.converse(conn)
		c.lock.Lock()
		for _, one := range c.pings {
			one.isLost = true
		}
		c.pings = nil
		c.broadcast()
		c.lock.Unlock()
		if conn = c.openAgain(); conn == nil {
			break
		}
	}
	c.lock.Lock()
	c.failure = err
	if c.isClosing {
		c.failure = errClosed
	}
	c.broadcast()
	c.lock.Unlock()
	close(c.ended)
}

// openAgain tries until there is a connection; nil when there shall be none.
func (c *Client) openAgain() *connection {
	delay := 50 * time.Millisecond
	for deadline := time.Now().Add(c.options.GiveUp); time.Now().Before(deadline) && !c.options.NoReconnect; {
		select {
		case <-c.closing:
			return nil
		// A little chance, so that many clients do not come back in the same moment.
		case <-time.After(delay/2 + time.Duration(rand.Int63n(int64(delay)))):
		}
		if delay *= 2; delay > delayMax {
			delay = delayMax
		}
		if conn, err := c.open(context.Background()); err == nil {
			return conn
		}
	}
	return nil
}

type connection struct {
	net.Conn
	inbound frameReader
}

// open connects and greets; what is to be sent again comes first then.
func (c *Client) open(ctx context.Context) (*connection, error) {
	dialer := net.Dialer{Timeout: connectTimeout}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	conn, err := dialer.DialContext(ctx, "tcp", c.options.Address)
	if err == nil && c.options.TLS != nil {
		conn, err = handshake(ctx, conn, c.options.TLS, c.options.Address)
	}
	if err != nil {
		return nil, &Error{Code: "SERVER_UNREACHABLE", Message: "Cannot connect to " + c.options.Address, Err: err}
	}
	opened := &connection{Conn: conn, inbound: frameReader{from: conn}}
	maxFrameBytes, err := c.greet(opened)
	if err != nil {
		conn.Close()
		return nil, err
	}
	c.lock.Lock()
	defer c.lock.Unlock()
	c.maxFrameBytes = maxFrameBytes
	c.base = c.counts.Answered
	c.sentCount = 0
	c.duplicatesBefore += c.counts.Duplicates
	c.counts.Duplicates = 0
	c.controls = nil
	for _, subscription := range c.subscriptions {
		c.sendJSON(opSubscribe, subscription.request())
	}
	c.wake()
	return opened, nil
}

func handshake(ctx context.Context, conn net.Conn, config *tls.Config, address string) (net.Conn, error) {
	if config.ServerName == "" {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		config = config.Clone()
		config.ServerName = host
	}
	secured := tls.Client(conn, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return secured, nil
}

// greet says HELLO and returns the server's max_frame_bytes.
func (c *Client) greet(conn *connection) (int, error) {
	hello := map[string]any{"acks": c.options.Acks, "ack_details": true}
	if c.options.Token != "" {
		hello["token"] = c.options.Token
	}
	if c.options.Producer != "" {
		hello["producer"] = c.options.Producer
	}
	payload, err := json.Marshal(hello)
	if err != nil {
		return 0, err
	}
	if err := conn.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		return 0, unreachable(err)
	}
	if _, err := conn.Write(controlFrame(opHello, payload)); err != nil {
		return 0, unreachable(err)
	}
	body, err := conn.inbound.next()
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return 0, &Error{Code: "TIMEOUT", Message: "Server did not answer HELLO", Err: err}
	}
	if err != nil {
		return 0, unreachable(err)
	}
	answer := struct {
		MaxFrameBytes int `json:"max_frame_bytes"`
		Code, Message string
	}{}
	if body[0] != headControl || json.Unmarshal(body[2:], &answer) != nil {
		return 0, &Error{Code: "BAD_CONTROL", Message: "Server sent no WELCOME"}
	}
	if body[1] == opError {
		return 0, &Error{Code: answer.Code, Message: "Server refused: " + answer.Message}
	}
	return answer.MaxFrameBytes, conn.SetDeadline(time.Time{})
}

// converse reads and writes until the connection ends or the client does.
func (c *Client) converse(conn *connection) error {
	failed := make(chan error, 2)
	done := make(chan struct{})
	go func() { failed <- c.write(conn, done) }()
	go func() { failed <- c.read(conn) }()
	var err error
	select {
	case err = <-failed:
		conn.Close()
		close(done)
		<-failed
	case <-c.closing:
		conn.Close()
		close(done)
		<-failed
		<-failed
		err = errClosed
	}
	return err
}

func (c *Client) write(conn *connection, done <-chan struct{}) error {
	batch := make([]byte, 0, batchBytes)
	for {
		c.lock.Lock()
		filled, count := c.fill(batch[:0])
		c.lock.Unlock()
		batch = filled
		if len(batch) == 0 {
			select {
			case <-c.work:
				continue
			case <-done:
				return nil
			}
		}
		if _, err := conn.Write(batch); err != nil {
			return unreachable(err)
		}
		if c.options.Acks == None && count > 0 {
			c.lock.Lock()
			err := c.release(uint64(count))
			c.lock.Unlock()
			if err != nil {
				return err
			}
		}
	}
}

func (c *Client) read(conn *connection) error {
	for {
		body, err := conn.inbound.next()
		if err == nil {
			err = c.receive(body)
		}
		if err != nil {
			return unreachable(err)
		}
	}
}

func (c *Client) receive(body []byte) error {
	payload := body[2:]
	if body[0] != headControl {
		return &Error{Code: "BAD_CONTROL", Message: fmt.Sprintf("Server sent an unknown frame (head %d)", body[0])}
	}
	switch body[1] {
	case opEvents:
		id, events, err := DecodeEvents(payload)
		if err != nil {
			return err
		}
		c.lock.Lock()
		defer c.lock.Unlock()
		if subscription := c.subscriptions[id]; subscription != nil {
			subscription.take(events)
			c.broadcast()
		}
	case opAck:
		in := reader{bytes: payload}
		done := in.number(8)
		c.lock.Lock()
		defer c.lock.Unlock()
		if len(in.bytes) > 0 {
			c.counts.Duplicates = in.number(8)
		}
		if in.isBad || c.base+done < c.counts.Answered {
			return &Error{Code: "BAD_CONTROL", Message: "Server sent an ACK that cannot be read"}
		}
		return c.release(c.base + done - c.counts.Answered)
	case opError:
		return c.refuse(payload)
	case opPong:
		c.lock.Lock()
		defer c.lock.Unlock()
		if len(c.pings) > 0 {
			c.pings[0].isAnswered = true
			c.pings = c.pings[1:]
			c.broadcast()
		}
	case opPing:
		c.lock.Lock()
		defer c.lock.Unlock()
		c.controls = append(c.controls, controlFrame(opPong, payload))
		c.wake()
	default:
		return &Error{Code: "BAD_CONTROL", Message: fmt.Sprintf("Server sent an unknown opcode (%d)", body[1])}
	}
	return nil
}

func (c *Client) refuse(payload []byte) error {
	refusal := Refusal{Count: 1}
	if err := json.Unmarshal(payload, &refusal); err != nil {
		return &Error{Code: "BAD_CONTROL", Message: "Server sent an ERROR that cannot be read", Err: err}
	}
	c.lock.Lock()
	if refusal.Seq == 0 {
		c.subscribeRefusal = &Error{Code: refusal.Code, Message: "Server refused: " + refusal.Message}
		c.lock.Unlock()
		return nil
	}
	refusal.Seq += c.base
	c.counts.Refused += refusal.Count
	c.lock.Unlock()
	if c.options.OnRefused != nil {
		c.options.OnRefused(refusal)
	}
	return nil
}

// frameReader cuts a stream into frame bodies.
type frameReader struct {
	from   io.Reader
	buffer []byte
	start  int
	end    int
}

// next returns a body of at least two bytes, valid until the next call.
func (r *frameReader) next() ([]byte, error) {
	if err := r.hold(4); err != nil {
		return nil, err
	}
	length := int(binary.BigEndian.Uint32(r.buffer[r.start:]))
	if length < 2 || length > inboundBytesMax {
		message := fmt.Sprintf("Server sent a frame of %d bytes: is an esc server there?", length)
		return nil, &Error{Code: "BAD_LENGTH", Message: message}
	}
	if err := r.hold(4 + length); err != nil {
		return nil, err
	}
	body := r.buffer[r.start+4 : r.start+4+length]
	r.start += 4 + length
	return body, nil
}

// hold reads until there are so many bytes.
func (r *frameReader) hold(count int) error {
	if r.start+count > len(r.buffer) {
		grown := r.buffer
		if count > len(r.buffer) {
			grown = make([]byte, 2*count+inboundBytesMin)
		}
		r.end = copy(grown, r.buffer[r.start:r.end])
		r.start = 0
		r.buffer = grown
	}
	for r.end-r.start < count {
		got, err := r.from.Read(r.buffer[r.end:])
		r.end += got
		if err != nil && r.end-r.start < count {
			return err
		}
	}
	return nil
}

func controlFrame(opcode byte, payload []byte) []byte {
	frame := make([]byte, 0, 6+len(payload))
	frame = binary.BigEndian.AppendUint32(frame, uint32(2+len(payload)))
	frame = append(frame, headControl, opcode)
	return append(frame, payload...)
}

func usage(format string, values ...any) error {
	return &Error{Code: "USAGE", Message: "Cannot publish: " + fmt.Sprintf(format, values...)}
}

// unreachable wraps what is no error of esc's own.
func unreachable(err error) error {
	var own *Error
	if errors.As(err, &own) {
		return err
	}
	return &Error{Code: "SERVER_UNREACHABLE", Message: "The connection ended", Err: err}
}
