// A server in Go: a goroutine for each client.
package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
)

var replies = bytes.Repeat([]byte("keep alive\n"), 4096)

func serve(client net.Conn) {
	defer client.Close()
	received := make([]byte, 4096)
	for {
		n, err := client.Read(received)
		if err != nil {
			return
		}
		if string(received[:n]) == "stop\n" {
			client.Write([]byte("stop\n"))
			return
		}
		lines := bytes.Count(received[:n], []byte{'\n'})
		if lines == 0 {
			continue
		}
		if _, err := client.Write(replies[:lines*11]); err != nil {
			return
		}
	}
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: go PORT")
		os.Exit(2)
	}
	listener, err := net.Listen("tcp4", "127.0.0.1:"+os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("ready")
	for {
		client, err := listener.Accept()
		if err != nil {
			continue
		}
		go serve(client)
	}
}
