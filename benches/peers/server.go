// The servers in Go: a goroutine per connection, and where others write to a connection too, one
// more that takes what is queued for it and writes it at once.
//
// `server WORKLOAD`, `server timers COUNT`. One processor, as the others have one thread.
package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	quote    = "An apple a day keeps the doctor away\r\n"
	blockLen = 65536
	sinkUnit = 1 << 20
	// A buffer for reading starts at the first size and grows when a read fills it.
	bufferMin = 4096
	bufferMax = 65536
	// A segment of lines, and what it is answered, are read and written at once up to this size.
	segmentMax = 16384
	// An empty out-buffer above this is given back.
	keptMax = 16384
)

// reader reads into a buffer of the connection's own, as large as what comes.
type reader struct {
	conn   net.Conn
	buffer []byte
}

func (r *reader) next() ([]byte, error) {
	if r.buffer == nil {
		r.buffer = make([]byte, bufferMin)
	}
	n, err := r.conn.Read(r.buffer)
	data := r.buffer[:n]
	if n == len(r.buffer) && n < bufferMax {
		r.buffer = make([]byte, 4*n)
	}
	return data, err
}

func echo(conn net.Conn) {
	defer conn.Close()
	from := reader{conn: conn}
	for {
		data, err := from.next()
		if err != nil {
			return
		}
		if _, err = conn.Write(data); err != nil {
			return
		}
	}
}

func sink(conn net.Conn) {
	defer conn.Close()
	from := reader{conn: conn}
	received := 0
	for {
		data, err := from.next()
		if err != nil {
			return
		}
		units := received / sinkUnit
		received += len(data)
		if dots := received/sinkUnit - units; dots > 0 {
			conn.Write(bytes.Repeat([]byte("."), dots))
		}
	}
}

// readLine returns a line without its end, valid until the next read.
func readLine(from *bufio.Reader) ([]byte, error) {
	line, err := from.ReadSlice('\n')
	if err == bufio.ErrBufferFull {
		var rest []byte
		line = append([]byte(nil), line...)
		rest, err = from.ReadBytes('\n')
		line = append(line, rest...)
	}
	if err != nil {
		return nil, err
	}
	line = line[:len(line)-1]
	return bytes.TrimSuffix(line, []byte("\r")), nil
}

var (
	question = []byte("How are you?")
	fine     = []byte("Fine\r\n")
	unknown  = []byte("I don't know what you mean\r\n")
)

func lines(conn net.Conn) {
	defer conn.Close()
	from, to := bufio.NewReaderSize(conn, segmentMax), bufio.NewWriterSize(conn, segmentMax)
	for {
		line, err := readLine(from)
		if err != nil {
			return
		}
		if bytes.Equal(line, question) {
			to.Write(fine)
		} else {
			to.Write(unknown)
		}
		// What is left of the segment is no whole line: the next read waits.
		if left, _ := from.Peek(from.Buffered()); bytes.IndexByte(left, '\n') < 0 {
			if to.Flush() != nil {
				return
			}
		}
	}
}

// outbox holds what others have to say to a connection. A channel of messages would have to stop
// them or lose some when it is full; this one only says that there is something to write.
type outbox struct {
	mutex  sync.Mutex
	unsent []byte
	blocks int
	closed bool
	wake   chan struct{}
}

func newOutbox() *outbox {
	return &outbox{wake: make(chan struct{}, 1)}
}

func (o *outbox) put(data []byte, blocks int, closes bool) {
	o.mutex.Lock()
	o.unsent = append(o.unsent, data...)
	o.blocks += blocks
	o.closed = o.closed || closes
	o.mutex.Unlock()
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// drain writes what is put until the outbox is closed, and closes the connection.
func (o *outbox) drain(conn net.Conn) {
	defer conn.Close()
	var spare []byte
	for range o.wake {
		o.mutex.Lock()
		unsent, blocks, closed := o.unsent, o.blocks, o.closed
		o.unsent, o.blocks = spare[:0], 0
		o.mutex.Unlock()
		if len(unsent) > 0 {
			if _, err := conn.Write(unsent); err != nil {
				return
			}
		}
		for ; blocks > 0; blocks-- {
			if _, err := conn.Write(block[:]); err != nil {
				return
			}
		}
		if spare = unsent; cap(spare) > keptMax {
			spare = nil
		}
		if closed {
			return
		}
	}
}

// room is those who hear each other.
type room struct {
	mutex   sync.Mutex
	members map[*outbox]struct{}
}

func (r *room) join(member *outbox) {
	r.mutex.Lock()
	r.members[member] = struct{}{}
	r.mutex.Unlock()
}

func (r *room) leave(member *outbox) {
	r.mutex.Lock()
	delete(r.members, member)
	r.mutex.Unlock()
	member.put(nil, 0, true)
}

func (r *room) sayToOthers(talker *outbox, message []byte) {
	r.mutex.Lock()
	for member := range r.members {
		if member != talker {
			member.put(message, 0, false)
		}
	}
	r.mutex.Unlock()
}

func (r *room) sendBlocks(count int) {
	r.mutex.Lock()
	for member := range r.members {
		member.put(nil, count, false)
	}
	r.mutex.Unlock()
}

var (
	hall  = room{members: map[*outbox]struct{}{}}
	block [blockLen]byte
)

func chat(conn net.Conn) {
	self := newOutbox()
	go self.drain(conn)
	defer hall.leave(self)
	self.put([]byte("What's your name?\r\n"), 0, false)
	from := bufio.NewReader(conn)
	name, err := readLine(from)
	if err != nil {
		return
	}
	prefix := "<" + string(name) + "> "
	self.put([]byte("Welcome, "+string(name)+"!\r\n"), 0, false)
	hall.join(self)
	var message []byte
	for {
		line, err := readLine(from)
		if err != nil {
			return
		}
		message = append(append(append(message[:0], prefix...), line...), "\r\n"...)
		hall.sayToOthers(self, message)
	}
}

func broadcast(conn net.Conn) {
	self := newOutbox()
	go self.drain(conn)
	hall.join(self)
	defer hall.leave(self)
	from := reader{conn: conn}
	for {
		data, err := from.next()
		if err != nil {
			return
		}
		hall.sendBlocks(len(data))
	}
}

func sendQuote(conn net.Conn) {
	conn.Write([]byte(quote))
	conn.Close()
}

func serve(handle func(net.Conn)) error {
	// Without keep-alive, for which Go would make three more calls for each connection.
	settings := net.ListenConfig{KeepAlive: -1}
	port, err := settings.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("listening on %s\n", port.Addr())
	for {
		conn, err := port.Accept()
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		if err != nil {
			// Descriptors ran out, or the client is gone.
			time.Sleep(10 * time.Millisecond)
			continue
		}
		go handle(conn)
	}
}

// randoms is the generator of the delays.
type randoms uint64

func (r *randoms) next() int64 {
	*r = *r*6364136223846793005 + 1442695040888963407
	return int64(*r >> 33)
}

func resident() float64 {
	status, _ := os.ReadFile("/proc/self/status")
	for _, line := range strings.Split(string(status), "\n") {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "VmRSS:" {
			kilobytes, _ := strconv.ParseFloat(fields[1], 64)
			return kilobytes * 1024
		}
	}
	return 0
}

// timers are the handles, and how many of them have fired.
type timers struct {
	handles []*time.Timer
	fired   int64
	done    chan struct{}
}

func (t *timers) fire() {
	if atomic.AddInt64(&t.fired, 1) == int64(len(t.handles)) {
		close(t.done)
	}
}

// each returns the nanoseconds that it took for each timer.
func (t *timers) each(do func(at int, random int64)) float64 {
	begin, random := time.Now(), randoms(1)
	for at := range t.handles {
		do(at, random.next())
	}
	return float64(time.Since(begin).Nanoseconds()) / float64(len(t.handles))
}

// fireAll returns the nanoseconds of CPU time that it took for each timer. The runtime fires timers
// whenever it gets to run, while the last ones are scheduled too: what scheduling takes is known
// from before.
func (t *timers) fireAll(schedule float64) float64 {
	begin := cpuTime()
	t.each(func(at int, random int64) {
		t.handles[at] = time.AfterFunc(time.Duration(random%1000)*time.Millisecond, t.fire)
	})
	<-t.done
	return float64(cpuTime()-begin)/float64(len(t.handles)) - schedule
}

// cpuTime returns the nanoseconds that the process has run.
func cpuTime() int64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return usage.Utime.Nano() + usage.Stime.Nano()
}

func timeTimers(count int) {
	t := timers{handles: make([]*time.Timer, count), done: make(chan struct{})}
	for at := range t.handles {
		t.handles[at] = nil
	}
	delay := func(random int64) time.Duration {
		return 10*time.Second + time.Duration(random%60000)*time.Millisecond
	}
	before := resident()
	schedule := t.each(func(at int, random int64) {
		t.handles[at] = time.AfterFunc(delay(random), t.fire)
	})
	scheduled := resident()
	reset := t.each(func(at int, random int64) {
		t.handles[at].Reset(delay(random) + 60*time.Second)
	})
	cancel := t.each(func(at int, _ int64) {
		t.handles[at].Stop()
	})
	left := resident()
	fmt.Printf(`{"count":%d,"schedule":%.1f,"reset":%.1f,"cancel":%.1f,"fire":%.1f,`+
		`"bytes_each":%.1f,"bytes_left":%.1f}`+"\n",
		count, schedule, reset, cancel, t.fireAll(schedule),
		(scheduled-before)/float64(count), (left-before)/float64(count))
}

func main() {
	runtime.GOMAXPROCS(1)
	for at := range block {
		block[at] = byte(at*7 + at/256)
	}
	handlers := map[string]func(net.Conn){"echo": echo, "lines": lines, "chat": chat,
		"quote": sendQuote, "sink": sink, "broadcast": broadcast}
	if len(os.Args) > 2 && os.Args[1] == "timers" {
		count, _ := strconv.Atoi(os.Args[2])
		timeTimers(count)
		return
	}
	var handle func(net.Conn)
	if len(os.Args) > 1 {
		handle = handlers[os.Args[1]]
	}
	if handle == nil {
		fmt.Fprintln(os.Stderr, "the server in Go does echo, lines, chat, quote, sink, broadcast "+
			"and timers, no other")
		os.Exit(3)
	}
	fmt.Fprintln(os.Stderr, serve(handle))
	os.Exit(1)
}
