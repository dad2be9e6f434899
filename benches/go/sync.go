package main

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// lockers is how many goroutines use one lock.
const lockers = 8

// all starts so many goroutines, each with its number, and waits for them.
func all(goroutines int, work func(number int)) {
	var all sync.WaitGroup
	all.Add(goroutines)
	for number := range goroutines {
		go func() {
			work(number)
			all.Done()
		}()
	}
	all.Wait()
}

// mutex1 has one goroutine, whose lock nobody else wants.
func mutex1(b *bench) {
	n := b.size(10_000_000)
	run := func(n int) {
		mutex := new(sync.Mutex)
		count := 0
		for range n {
			mutex.Lock()
			count++
			mutex.Unlock()
		}
		check(count == n)
	}
	run(n / 10)
	b.each("lock", n, measure(func() { run(n) }))
}

// rwlock1 is the same for a lock of readers and writers.
func rwlock1(b *bench) {
	n := b.size(10_000_000)
	lock := new(sync.RWMutex)
	count := 0
	read := func(n int) {
		sum := 0
		for range n {
			lock.RLock()
			sum += count + 1
			lock.RUnlock()
		}
		check(sum == n)
	}
	write := func(n int) {
		for range n {
			lock.Lock()
			count++
			lock.Unlock()
		}
		check(count == n)
		count = 0
	}
	read(n / 10)
	b.each("read", n, measure(func() { read(n) }))
	write(n / 10)
	b.each("write", n, measure(func() { write(n) }))
}

func mutex8(b *bench) {
	n := b.size(1_000_000)
	run := func(n int) {
		var mutex sync.Mutex
		count := 0
		all(lockers, func(int) {
			for range n {
				mutex.Lock()
				count++
				mutex.Unlock()
			}
		})
		check(count == lockers*n)
	}
	run(n / 10)
	b.each("lock", lockers*n, measure(func() { run(n) }))
}

// firstCall is what the calls of a goroutine are made from: each is the xorshift of the one before.
func firstCall(number int) uint64 { return 0x9E37_79B9_7F4A_7C15 * uint64(number+1) }

// keys is how many the workload over maps has.
const keys = 1000

// writes says whether a call writes, as one in ten does.
func writes(call uint64) bool { return call > ^uint64(0)/100*90 }

// rwlock8 has nine in ten read.
func rwlock8(b *bench) {
	n := b.size(1_000_000)
	run := func(n int) {
		var lock sync.RWMutex
		count := 0
		var allWritten atomic.Int64
		all(lockers, func(number int) {
			written, seen := 0, 0
			call := firstCall(number)
			for range n {
				call = xorshift(call)
				if writes(call) {
					lock.Lock()
					count++
					lock.Unlock()
					written++
				} else {
					lock.RLock()
					now := count
					lock.RUnlock()
					check(now >= seen)
					seen = now
				}
			}
			allWritten.Add(int64(written))
		})
		check(int64(count) == allWritten.Load())
	}
	run(n / 10)
	b.each("lock", lockers*n, measure(func() { run(n) }))
}

// mutexChan holds the lock while its holder waits for an answer.
func mutexChan(b *bench) {
	n := b.size(100_000)
	run := func(n int) {
		var mutex sync.Mutex
		questions, answers := make(chan uint64), make(chan uint64)
		counted := make(chan int)
		go func() {
			count := 0
			for question := range questions {
				answers <- question + 1
				count++
			}
			counted <- count
		}()
		all(lockers, func(int) {
			for i := range uint64(n) {
				mutex.Lock()
				questions <- i
				check(<-answers == i+1)
				mutex.Unlock()
			}
		})
		close(questions)
		check(<-counted == lockers*n)
	}
	run(n / 10)
	b.each("lock", lockers*n, measure(func() { run(n) }))
}

// mutexSleep holds the lock over a sleep.
func mutexSleep(b *bench) {
	n := b.size(1000)
	run := func(n int) {
		var mutex sync.Mutex
		count := 0
		all(n, func(int) {
			mutex.Lock()
			time.Sleep(time.Millisecond)
			count++
			mutex.Unlock()
		})
		check(count == n)
	}
	run(n / 10)
	b.each("hold", n, measure(func() { run(n) }))
}

// A barrier is what the standard library has none of: a condition variable, and a count of rounds.
type barrier struct {
	mutex   sync.Mutex
	changed *sync.Cond
	size    int
	arrived int
	round   int
}

func newBarrier(size int) *barrier {
	b := &barrier{size: size}
	b.changed = sync.NewCond(&b.mutex)
	return b
}

// wait waits for all others, and says whether the caller was the last.
func (b *barrier) wait() bool {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	b.arrived++
	if b.arrived == b.size {
		b.arrived = 0
		b.round++
		b.changed.Broadcast()
		return true
	}
	for round := b.round; round == b.round; {
		b.changed.Wait()
	}
	return false
}

func barriers(b *bench) {
	const goroutines = 100
	n := b.size(20_000)
	run := func(n int) {
		barrier := newBarrier(goroutines)
		var led atomic.Int64
		all(goroutines, func(int) {
			own := 0
			for range n {
				if barrier.wait() {
					own++
				}
			}
			led.Add(int64(own))
		})
		check(led.Load() == int64(n))
	}
	run(n / 10)
	b.each("wait[cond]", goroutines*n, measure(func() { run(n) }))
}

// condvarTurns wakes all that wait each time, and one of them finds that it is its turn.
func condvarTurns(b *bench) {
	const goroutines = 100
	n := b.size(500)
	run := func(n int) {
		var mutex sync.Mutex
		changed := sync.NewCond(&mutex)
		turn := 0
		all(goroutines, func(number int) {
			for range n {
				mutex.Lock()
				for turn%goroutines != number {
					changed.Wait()
				}
				turn++
				mutex.Unlock()
				changed.Broadcast()
			}
		})
		check(turn == goroutines*n)
	}
	run(n / 10)
	b.each("turn", goroutines*n, measure(func() { run(n) }))
}

// semaphore is a channel of ten places, as the standard library has no other.
func semaphore(b *bench) {
	n := b.size(1000)
	run := func(n int) {
		permits := make(chan struct{}, 10)
		var held atomic.Int64
		all(1000, func(int) {
			for range n {
				permits <- struct{}{}
				runtime.Gosched()
				<-permits
			}
			held.Add(int64(n))
		})
		check(held.Load() == int64(1000*n))
	}
	run(n / 10)
	b.each("permit[chan]", 1000*n, measure(func() { run(n) }))
}

func waitGroup(b *bench) {
	n := b.size(1_000_000)
	run := func(n int) {
		var group sync.WaitGroup
		each := n / lockers
		for range each * lockers {
			group.Add(1)
		}
		for range lockers {
			go func() {
				for range each {
					group.Done()
				}
			}()
		}
		group.Wait()
	}
	run(n / 10)
	c := measure(func() {
		for range 5 {
			run(n)
		}
	})
	b.each("add_done", 5*n, c)
}

// An errGroup is that of golang.org/x/sync, which is not in the standard library: the same by the same means.
type errGroup struct {
	cancel context.CancelCauseFunc
	all    sync.WaitGroup
	permit chan struct{}
	once   sync.Once
	err    error
}

func newErrGroup(limit int) (*errGroup, context.Context) {
	ctx, cancel := context.WithCancelCause(context.Background())
	return &errGroup{cancel: cancel, permit: make(chan struct{}, limit)}, ctx
}

func (g *errGroup) start(work func() error) {
	g.permit <- struct{}{}
	g.all.Add(1)
	go func() {
		defer func() {
			<-g.permit
			g.all.Done()
		}()
		if err := work(); err != nil {
			g.once.Do(func() {
				g.err = err
				g.cancel(err)
			})
		}
	}()
}

func (g *errGroup) wait() error {
	g.all.Wait()
	g.cancel(g.err)
	return g.err
}

func errgroup(b *bench) {
	n := b.size(500_000)
	run := func(n int) {
		var hits atomic.Int64
		group, _ := newErrGroup(8)
		for range n {
			group.start(func() error {
				hits.Add(1)
				return nil
			})
		}
		check(group.wait() == nil && hits.Load() == int64(n))
	}
	run(n / 10)
	b.each("task[std]", n, measure(func() { run(n) }))
}

// ctxCancel makes children and cancels their parent, and then has goroutines wait for the end of one context.
func ctxCancel(b *bench) {
	const times = 5
	n := b.size(100_000)
	var made, cancelled, woken cost
	for range times {
		ctx, cancel := context.WithCancel(context.Background())
		children := make([]context.Context, n)
		cancels := make([]context.CancelFunc, n)
		made.add(measure(func() {
			for i := range children {
				children[i], cancels[i] = context.WithCancel(ctx)
			}
		}))
		cancelled.add(measure(cancel))
		for i, child := range children {
			check(child.Err() != nil)
			cancels[i]()
		}
		woken.add(wakeWaiters(n / 10))
	}
	b.each("make", times*n, made)
	b.each("cancel", times*n, cancelled)
	b.each("wake", times*(n/10), woken)
}

func wakeWaiters(n int) cost {
	ctx, cancel := context.WithCancel(context.Background())
	var ready, left sync.WaitGroup
	ready.Add(n)
	left.Add(n)
	for range n {
		go func() {
			ready.Done()
			<-ctx.Done()
			left.Done()
		}()
	}
	ready.Wait()
	time.Sleep(10 * time.Millisecond)
	return measure(func() {
		cancel()
		left.Wait()
	})
}

// A buffer is one that only one may have.
type buffer struct {
	bytes [1024]byte
	taken bool
}

func pool(b *bench) {
	n := b.size(1_000_000)
	buffers := sync.Pool{New: func() any { return new(buffer) }}
	run := func(n int) {
		all(lockers, func(int) {
			for i := range n {
				buffer := buffers.Get().(*buffer)
				check(!buffer.taken)
				buffer.taken = true
				buffer.bytes[i%1024] = byte(i)
				buffer.taken = false
				buffers.Put(buffer)
			}
		})
	}
	run(n / 10)
	b.each("get_put", lockers*n, measure(func() { run(n) }))
}

// map90 has nine in ten read. The square of a key is under it.
func map90(b *bench) {
	n := b.size(1_000_000)
	run := func(n int) {
		var squares sync.Map
		for key := range uint64(keys) {
			squares.Store(key, key*key)
		}
		all(lockers, func(number int) {
			call := firstCall(number)
			for range n {
				call = xorshift(call)
				key := call % keys
				if writes(call) {
					squares.Store(key, key*key)
				} else {
					value, ok := squares.Load(key)
					check(ok && value.(uint64) == key*key)
				}
			}
		})
	}
	run(n / 10)
	b.each("call", lockers*n, measure(func() { run(n) }))
}
