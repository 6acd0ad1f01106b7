// SPDX-License-Identifier: LGPL-2.1-or-later

// usage: golang SOCKET URI DIR
//
// A life of the pool DIR by the pure-Go client github.com/digitalocean/go-libvirt, which Terraform's
// provider uses. Prints one JSON object of what the client saw; the volumes a and b stay.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	libvirt "github.com/digitalocean/go-libvirt"
)

const volume = "<volume><name>%s</name><capacity>%d</capacity><target><format type='%s'/></target></volume>"

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func codeOf(err error) uint32 {
	var remote libvirt.Error
	if errors.As(err, &remote) {
		return remote.Code
	}
	return 0
}

func main() {
	data := bytes.Repeat([]byte("go! "), 1<<18)
	facts := map[string]interface{}{}
	socket, err := net.DialTimeout("unix", os.Args[1], 5*time.Second)
	check(err)
	conn := libvirt.New(socket)
	check(conn.ConnectToURI(libvirt.ConnectURI(os.Args[2])))
	pool, err := conn.StoragePoolDefineXML(
		"<pool type='dir'><name>go</name><target><path>"+os.Args[3]+"</path></target></pool>", 0)
	check(err)
	check(conn.StoragePoolBuild(pool, 0))
	check(conn.StoragePoolCreate(pool, 0))
	check(conn.StoragePoolSetAutostart(pool, 1))
	plain, err := conn.StorageVolCreateXML(pool, fmt.Sprintf(volume, "a", 1<<20, "raw"), 0)
	check(err)
	check(conn.StorageVolUpload(plain, bytes.NewReader(data), 0, 1<<20, 0))
	var read bytes.Buffer
	check(conn.StorageVolDownload(plain, &read, 0, 0, 0))
	facts["same"] = bytes.Equal(data, read.Bytes())
	image, err := conn.StorageVolCreateXML(pool, fmt.Sprintf(volume, "b", 8<<20, "qcow2"), 0)
	check(err)
	check(conn.StorageVolResize(image, 16<<20, 0))
	_, facts["capacity"], _, err = conn.StorageVolGetInfo(image)
	check(err)
	// This client never ends a download: the volume must be free all the same.
	gone, err := conn.StorageVolCreateXML(pool, fmt.Sprintf(volume, "c", 1<<20, "raw"), 0)
	check(err)
	check(conn.StorageVolDownload(gone, &read, 0, 0, 0))
	check(conn.StorageVolDelete(gone, 0))
	volumes, _, err := conn.StoragePoolListAllVolumes(pool, 1, 0)
	check(err)
	facts["volumes"] = len(volumes)
	_, err = conn.StorageVolLookupByName(pool, "none")
	facts["missing volume"] = codeOf(err)
	_, err = conn.StoragePoolLookupByName("none")
	facts["missing pool"] = codeOf(err)
	check(conn.StoragePoolRefresh(pool, 0))
	check(conn.Disconnect())
	check(json.NewEncoder(os.Stdout).Encode(facts))
}
