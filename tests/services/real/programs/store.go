// Numbers kept in memory, over HTTP: PUT /7 keeps 7, GET / names all that are kept.
package main

import (
	"fmt"
	"net/http"
	"sort"
	"strconv"
	"strings"
	"sync"
)

func main() {
	var lock sync.Mutex
	kept := map[int]bool{}
	ballast := make([][]byte, 64)
	http.HandleFunc("/", func(answer http.ResponseWriter, request *http.Request) {
		lock.Lock()
		defer lock.Unlock()
		if request.Method == "PUT" {
			number, _ := strconv.Atoi(request.URL.Path[1:])
			kept[number] = true
			ballast[number%64] = make([]byte, 1<<20)
			fmt.Fprint(answer, "kept")
			return
		}
		numbers := []int{}
		for number := range kept {
			numbers = append(numbers, number)
		}
		sort.Ints(numbers)
		fmt.Fprint(answer, strings.Trim(fmt.Sprint(numbers), "[]"))
	})
	if err := http.ListenAndServe(":8080", nil); err != nil {
		panic(err)
	}
}
