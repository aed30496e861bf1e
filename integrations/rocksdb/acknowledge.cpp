/* SPDX-License-Identifier: MIT
 *
 * acknowledge.cpp - for the test: writes numbered keys with sync and prints each number when it is acknowledged; and checks that all
 * that were printed are there.
 *
 *     acknowledge write DIRECTORY URI FIRST     until it is killed or a write fails
 *     acknowledge check DIRECTORY URI COUNT     keys 0 to COUNT - 1
 *
 * URI: of the file system, "" for the default one. Buffers and tables are small, so that it is killed within flushes and compactions.
 */
#include <rocksdb/db.h>
#include <rocksdb/convenience.h>
#include <rocksdb/env.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <unistd.h>
#include <vector>

namespace
{

using namespace rocksdb;

constexpr uint64_t batch_size = 32;

std::string key_of(uint64_t number)
{
    /* Spread over the range, so that compactions have to merge. */
    return std::to_string(number * 2654435761 % 1000000007) + "-" + std::to_string(number);
}

std::string value_of(uint64_t number)
{
    return std::to_string(number) + std::string(100 + number * 37 % 900, static_cast<char>('a' + number % 26));
}

int failed(const char *what, const Status &status)
{
    std::fprintf(stderr, "%s: %s\n", what, status.ToString().c_str());
    return 1;
}

Options options_of(Env *env)
{
    Options options;
    options.env = env;
    options.create_if_missing = true;
    options.compression = kNoCompression;
    options.write_buffer_size = 64 << 10;
    options.target_file_size_base = 64 << 10;
    options.max_bytes_for_level_base = 256 << 10;
    options.level0_file_num_compaction_trigger = 2;
    options.max_background_jobs = 4;
    return options;
}

int write_keys(DB *db, uint64_t number)
{
    WriteOptions synced;
    synced.sync = true;
    for (;; number++) {
        const Status status = db->Put(synced, key_of(number), value_of(number));
        if (!status.ok())
            return failed("put", status);
        const std::string line = std::to_string(number) + "\n";
        if (write(STDOUT_FILENO, line.data(), line.size()) != static_cast<ssize_t>(line.size()))
            return 1;
    }
}

int check_keys(DB *db, uint64_t count)
{
    for (uint64_t first = 0; first < count; first += batch_size) {
        std::vector<std::string> keys;
        std::vector<std::string> values;
        for (uint64_t i = first; i < first + batch_size && i < count; i++)
            keys.push_back(key_of(i));
        const std::vector<Slice> slices(keys.begin(), keys.end());
        const std::vector<Status> statuses = db->MultiGet(ReadOptions(), slices, &values);
        for (uint64_t i = 0; i < keys.size(); i++) {
            if (!statuses[i].ok())
                return failed(("key " + std::to_string(first + i)).c_str(), statuses[i]);
            if (values[i] != value_of(first + i))
                return failed("value", Status::Corruption(std::to_string(first + i)));
        }
    }
    return 0;
}

} // namespace

int main(int argc, char **argv)
{
    if (argc != 5)
        return 2;
    const bool is_write = std::string(argv[1]) == "write";
    Env *env = Env::Default();
    std::shared_ptr<Env> guard;
    if (argv[3][0] != '\0') {
        const Status status = Env::CreateFromUri(ConfigOptions(), "", argv[3], &env, &guard);
        if (!status.ok())
            return failed("file system", status);
    }
    DB *opened = nullptr;
    const Status status = DB::Open(options_of(env), argv[2], &opened);
    const std::unique_ptr<DB> db(opened);
    if (!status.ok())
        return failed("open", status);
    const uint64_t number = std::strtoull(argv[4], nullptr, 10);
    const int result = is_write ? write_keys(db.get(), number) : check_keys(db.get(), number);
    const Status closed = db->Close();
    return result != 0 || is_write || closed.ok() ? result : failed("close", closed);
}
