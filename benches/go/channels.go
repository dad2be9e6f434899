package main

import (
	"sync"
	"sync/atomic"
	"time"
)

// pingpong has two goroutines and two unbuffered channels.
func pingpong(b *bench) {
	n := b.size(1_000_000)
	run := func(n int) {
		ping, pong := make(chan int), make(chan int)
		var both sync.WaitGroup
		both.Add(2)
		go func() {
			for range n {
				pong <- <-ping
			}
			both.Done()
		}()
		go func() {
			for i := range n {
				ping <- i
				check(<-pong == i)
			}
			both.Done()
		}()
		both.Wait()
	}
	run(n / 10)
	b.each("roundtrip", n, measure(func() { run(n) }))
}

// ring hands one token round.
func ring(b *bench) {
	const size = 503
	n := b.size(2_000_000)
	run := func(n int) {
		channels := make([]chan int, size)
		for i := range channels {
			channels[i] = make(chan int)
		}
		over := make(chan struct{})
		for i := range size {
			go func() {
				left, right := channels[i], channels[(i+1)%size]
				for hops := range left {
					if hops == 0 {
						close(over)
						return
					}
					right <- hops - 1
				}
			}()
		}
		channels[0] <- n
		<-over
		for _, channel := range channels {
			close(channel)
		}
	}
	run(n / 10)
	b.each("hop", n, measure(func() { run(n) }))
}

// stream sends from so many to so many, over one channel.
func stream(b *bench, capacity, producers, consumers, own int) {
	n := b.size(own)
	run := func(n int) {
		channel := make(chan uint64, capacity)
		each := n / producers
		var sent, received sync.WaitGroup
		var sum atomic.Uint64
		for range producers {
			sent.Add(1)
			go func() {
				for i := range each {
					channel <- uint64(i)
				}
				sent.Done()
			}()
		}
		for range consumers {
			received.Add(1)
			go func() {
				own := uint64(0)
				for value := range channel {
					own += value
				}
				sum.Add(own)
				received.Done()
			}()
		}
		sent.Wait()
		close(channel)
		received.Wait()
		check(sum.Load() == uint64(producers)*sumBelow(each))
	}
	run(n / 10)
	b.each("msg", n, measure(func() { run(n) }))
}

// select4 has one goroutine that selects over four unbuffered channels.
func select4(b *bench) {
	n := b.size(1_000_000)
	run := func(n int) {
		each := n / 4
		var channels [4]chan uint64
		for i := range channels {
			channels[i] = make(chan uint64)
			go func() {
				for value := range each {
					channels[i] <- uint64(value)
				}
			}()
		}
		sum := make(chan uint64)
		go func() {
			own := uint64(0)
			for range 4 * each {
				select {
				case value := <-channels[0]:
					own += value
				case value := <-channels[1]:
					own += value
				case value := <-channels[2]:
					own += value
				case value := <-channels[3]:
					own += value
				}
			}
			sum <- own
		}()
		check(<-sum == 4*sumBelow(each))
	}
	run(n / 10)
	b.each("msg", n, measure(func() { run(n) }))
}

// selectNB finds empty channels empty.
func selectNB(b *bench) {
	n := b.size(50_000_000)
	first, second := make(chan uint64), make(chan uint64)
	missed := 0
	one := func(n int) {
		for range n {
			select {
			case <-first:
			default:
				missed++
			}
		}
	}
	two := func(n int) {
		for range n {
			select {
			case <-first:
			case <-second:
			default:
				missed++
			}
		}
	}
	one(n / 10)
	b.each("op_1ch", n, measure(func() { one(n) }))
	fifth := n / 5
	two(fifth / 10)
	b.each("op_2ch", fifth, measure(func() { two(fifth) }))
	check(missed == n+n/10+fifth+fifth/10)
}

// selectTimeout receives with a limit that never comes.
func selectTimeout(b *bench) {
	const limit = 60 * time.Second
	cases := []struct {
		name    string
		receive func(n int, channel chan uint64) uint64
	}{
		{"op_no_timeout", func(n int, channel chan uint64) (sum uint64) {
			for range n {
				sum += <-channel
			}
			return sum
		}},
		{"op_reused_timer", func(n int, channel chan uint64) (sum uint64) {
			timer := time.NewTimer(limit)
			defer timer.Stop()
			for range n {
				timer.Reset(limit)
				select {
				case value := <-channel:
					sum += value
				case <-timer.C:
					panic("fired")
				}
			}
			return sum
		}},
		{"op_naive", func(n int, channel chan uint64) (sum uint64) {
			for range n {
				select {
				case value := <-channel:
					sum += value
				case <-time.After(limit):
					panic("fired")
				}
			}
			return sum
		}},
	}
	n := b.size(1_000_000)
	for _, c := range cases {
		run := func(n int) {
			channel := make(chan uint64, 128)
			go func() {
				for i := range n {
					channel <- uint64(i)
				}
			}()
			sum := make(chan uint64)
			go func() { sum <- c.receive(n, channel) }()
			check(<-sum == sumBelow(n))
		}
		run(n / 10)
		b.each(c.name, n, measure(func() { run(n) }))
	}
}

// sieve finds primes by a chain of filters, which are left waiting.
func sieve(b *bench) {
	primes := func(count int) (last int) {
		numbers := make(chan int)
		source := numbers
		go func() {
			for i := 2; ; i++ {
				source <- i
			}
		}()
		for range count {
			prime, all, rest := <-numbers, numbers, make(chan int)
			go func() {
				for n := range all {
					if n%prime != 0 {
						rest <- n
					}
				}
			}()
			numbers, last = rest, prime
		}
		return last
	}
	n := b.size(2500)
	primes(100)
	last := 0
	c := measure(func() { last = primes(n) })
	check(n != 2500 || last == 22307)
	b.figure("seconds", c.wall.Seconds(), "s")
	b.figure("cpu_seconds", c.cpu.Seconds(), "s")
}

// node is one of the tree of skynet: it sends its parent the sum of its leaves.
func node(parent chan<- uint64, number, size uint64) {
	if size == 1 {
		parent <- number
		return
	}
	children := make(chan uint64)
	size /= 10
	for child := range uint64(10) {
		go node(children, number+child*size, size)
	}
	sum := uint64(0)
	for range 10 {
		sum += <-children
	}
	parent <- sum
}

// skynet is a tree of goroutines, ten children each.
func skynet(b *bench) {
	n := b.size(1_000_000)
	run := func() {
		sum := make(chan uint64)
		go node(sum, 0, uint64(n))
		check(<-sum == sumBelow(n))
	}
	b.millis("ms_first", 1, measure(run))
	c := measure(run)
	b.millis("ms", 1, c)
	b.figure("ns_per_leaf", ns(c.wall)/float64(n), "ns")
}

// cpuMap does jobs by a pool of eight that is fed by a channel, and in sequence.
func cpuMap(b *bench) {
	n := b.size(10_000)
	inSequence := func(n int) (sum uint64) {
		for i := range n {
			sum += job(uint64(i))
		}
		return sum
	}
	pool := func(n int) uint64 {
		jobs := make(chan uint64, 128)
		var sum atomic.Uint64
		var workers sync.WaitGroup
		for range 8 {
			workers.Add(1)
			go func() {
				own := uint64(0)
				for number := range jobs {
					own += job(number)
				}
				sum.Add(own)
				workers.Done()
			}()
		}
		for i := range n {
			jobs <- uint64(i)
		}
		close(jobs)
		workers.Wait()
		return sum.Load()
	}
	inSequence(n / 20)
	var sum, poolSum, sumAfter uint64
	before := measure(func() { sum = inSequence(n) })
	parallel := measure(func() { poolSum = pool(n) })
	after := measure(func() { sumAfter = inSequence(n) })
	check(poolSum == sum && sumAfter == sum)
	sequence := ns(before.wall+after.wall) / 2
	b.figure("seq_us_per_job", sequence/1e3/float64(n), "us")
	b.figure("par_ms", ms(parallel.wall), "ms")
	b.figure("speedup", sequence/ns(parallel.wall), "x")
}
