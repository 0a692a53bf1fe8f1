module store

go 1.24
