/* SPDX-License-Identifier: MIT
 *
 * pmr_write.cpp - records in a container of the standard library, written with direct I/O as they are.
 *
 *     pmr_write FILE [COUNT] */
#include <jdb_alloc.hpp>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

int main(int argc, char **argv)
{
    if (argc < 2) {
        std::fprintf(stderr, "usage: pmr_write FILE [COUNT]\n");
        return 1;
    }
    jdb::memory_resource pages;
    std::pmr::vector<std::uint64_t> records(&pages);
    const std::uint64_t count = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 100000;
    for (std::uint64_t i = 0; i < count; i++)
        records.push_back(i * i);

    jdb_file_options options = JDB_FILE_OPTIONS_INIT;
    options.access = JDB_FILE_WRITE | JDB_FILE_CREATE | JDB_FILE_TRUNCATE;
    options.durability = JDB_FILE_DURABLE_DATA;
    std::error_code ec;
    jdb::File file = jdb::File::open(argv[1], options, ec);
    if (!ec)
        file.write_full(jdb::RawView::to_write(records.data(), records.size() * sizeof records[0]), 0, ec);
    if (!ec)
        file.close(ec);
    if (ec)
        std::fprintf(stderr, "%s: %s\n", argv[1], ec.message().c_str());
    return ec ? 1 : 0;
}
