package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// The servers of the workloads over sockets. The load on them is another program, peers or compare.
var servers = []workload{
	{"serve_echo", func(*bench) { serve(echo) }},
	{"serve_http", func(*bench) { serve(exchange) }},
	{"serve_net_http", serveNetHTTP},
}

// serve accepts connections, each for a goroutine, until the orders end.
func serve(answer func(net.Conn)) {
	listener := listen()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				panic(err)
			}
			go answer(conn)
		}
	}()
	takeOrders()
}

// echo sends back what comes, until the client ends it.
func echo(conn net.Conn) {
	defer conn.Close()
	buffer := make([]byte, 4096)
	for {
		n, err := conn.Read(buffer)
		if err != nil {
			return
		}
		if _, err := conn.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// serveNetHTTP is the server of net/http, which does more: the tag of its figures says that it is another.
func serveNetHTTP(*bench) {
	listener := listen()
	answer := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		io.WriteString(w, "Hello, world!")
	}
	go func() { panic(http.Serve(listener, http.HandlerFunc(answer))) }()
	takeOrders()
}

// listen takes a free port, and tells the load which.
func listen() net.Listener {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Printf("PORT %d\n", listener.Addr().(*net.TCPAddr).Port)
	return listener
}

// takeOrders starts goroutines that compute, each for as long as a line "compute MS" says, and ends the process at the
// end of the input.
func takeOrders() {
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		millis, err := strconv.Atoi(strings.TrimPrefix(lines.Text(), "compute "))
		if err != nil {
			panic(err)
		}
		go compute(time.Duration(millis) * time.Millisecond)
	}
	os.Exit(0)
}

// computed keeps the result of compute.
var computed uint64

// compute does nothing else for so long.
func compute(d time.Duration) {
	x := uint64(1)
	for end := time.Now().Add(d); time.Now().Before(end); {
		for range 10_000 {
			x = x*6_364_136_223_846_793_005 + 1_442_695_040_888_963_407
		}
	}
	computed = x
}
