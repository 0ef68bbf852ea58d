// A primary with a namespace, its keys in order, its whole dataset brought into a replica, and what came after it.
// c++ -std=c++17 examples/hello.cpp $(pkg-config --cflags --libs pumice) -o hello && ./hello FOLDER
#include <iostream>
#include <pumice.hpp>
#include <string>

static void show(const pumice::Namespace &ns) {
    for (const pumice::Item &item : ns.items()) {
        std::cout << "  " << item.key << " = " << item.value.value_or("(not a string)") << "\n";
    }
}

static void run(const std::string &folder) {
    const auto primary = pumice::Engine::open(folder + "/primary");
    const auto users = primary.create_namespace("users");
    users.put("ada", "countess");
    users.put("grace", "admiral", {std::chrono::hours(1), std::nullopt});

    if (const auto value = users.get("ada")) {
        std::cout << "ada is a " << value->view() << "\n";
    }

    // All namespaces with their data, in one step.
    pumice::Options options;
    options.role = PUMICE_ROLE_REPLICA;
    const auto replica = pumice::Engine::open(folder + "/replica", options);
    const auto checkpoint = primary.create_checkpoint(folder + "/checkpoint");
    replica.apply_checkpoint(checkpoint.path, [](const pumice::Progress &progress) {
        std::cout << "  " << pumice_stage_name(progress.stage) << ": " << progress.files_done << " of "
                  << progress.files << " files\n";
        return true;
    });
    const auto users_there = replica.open_namespace("users");
    std::cout << "the replica has\n";
    show(users_there);

    // A batch is one entry of the log.
    auto batch = primary.batch();
    batch.put(users, "barbara", "professor");
    batch.erase(users, "ada");
    batch.commit();
    auto log = primary.log(replica.position());
    while (const auto entry = log.next()) {
        replica.apply(*entry);
    }
    std::cout << "and then\n";
    show(users_there);

    try {
        users_there.put("ada", "mine");
    } catch (const pumice::Error &error) {
        std::cout << error.name() << ": a replica takes no writes\n";
    }
}

int main(int argc, char **argv) {
    try {
        run(argc > 1 ? argv[1] : ".");
    } catch (const pumice::Error &error) {
        std::cerr << error.name() << ": " << error.what() << "\n";
        return 1;
    }
    return 0;
}
